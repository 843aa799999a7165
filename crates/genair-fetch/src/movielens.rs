//! The two forms MovieLens-100K comes in, made into one.
//!
//! Owns what is odd in either: `u.item` is Latin-1 with titles that hold the year and genres as
//! flags; RecBole's `.item` is UTF-8 with the content of the title's last parentheses cut off as the
//! year, which for item 1412 is "V", and with "unkonwn" for item 267.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use genair_files::doing;
use serde::Serialize;
use zip::ZipArchive;

use crate::{FetchError, verify};

/// What identifies the archives of a release. SHA-256 in lower-case hex.
pub(crate) struct Release<'a> {
    pub(crate) url: &'a str,
    pub(crate) zip_size: u64,
    pub(crate) zip_sha256: &'a str,
    pub(crate) wheel_sha256: &'a str,
    pub(crate) u_data_sha256: &'a str,
}

/// Files to install, and where they come from.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) interactions: Vec<u8>,
    pub(crate) items: Vec<u8>,
    pub(crate) origin: String,
    pub(crate) archive_sha256: String,
}

/// A line of `items.jsonl`, in this order.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Movie {
    item_id: String,
    title: String,
    /// Four digits, or empty where unknown.
    year: String,
    genres: Vec<String>,
}

/// Genres in the order of the flags in `u.item`.
const GENRES: [&str; 19] = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
];

/// From the official zip file, verified before.
pub(crate) fn from_zip(
    path: &Path,
    url: &str,
    release: &Release<'_>,
) -> Result<Content, FetchError> {
    let u_data = unpack(path, "ml-100k/u.data")?;
    let u_item = unpack(path, "ml-100k/u.item")?;
    Ok(Content {
        interactions: interactions(&u_data, release)?,
        items: json_lines(movies_of_u_item(&u_item)?),
        origin: url.to_owned(),
        archive_sha256: release.zip_sha256.to_owned(),
    })
}

/// From the wheel of RecBole, verified before.
pub(crate) fn from_wheel(path: &Path, release: &Release<'_>) -> Result<Content, FetchError> {
    let inter = unpack(path, "recbole/dataset_example/ml-100k/ml-100k.inter")?;
    let item = unpack(path, "recbole/dataset_example/ml-100k/ml-100k.item")?;
    const HEADER: &[u8] = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n";
    let Some(u_data) = inter.strip_prefix(HEADER) else {
        let problem = "another header than user_id, item_id, rating, timestamp".to_owned();
        return Err(FetchError::Format {
            file: "ml-100k.inter",
            line: 1,
            problem,
        });
    };
    Ok(Content {
        interactions: interactions(u_data, release)?,
        items: json_lines(movies_of_recbole(&item)?),
        origin: "recbole==1.2.1 from PyPI, recbole/dataset_example/ml-100k".to_owned(),
        archive_sha256: release.wheel_sha256.to_owned(),
    })
}

fn unpack(path: &Path, member: &str) -> Result<Vec<u8>, FetchError> {
    let archive_error = |source| FetchError::Archive {
        path: path.to_owned(),
        member: member.to_owned(),
        source,
    };
    let file = File::open(path).map_err(doing("read", path))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(archive_error)?;
    let mut bytes = Vec::new();
    let mut entry = archive.by_name(member).map_err(archive_error)?;
    entry
        .read_to_end(&mut bytes)
        .map_err(|error| archive_error(error.into()))?;
    Ok(bytes)
}

/// The rows of `u.data`, in its order, under a header.
fn interactions(u_data: &[u8], release: &Release<'_>) -> Result<Vec<u8>, FetchError> {
    let found = genair_files::sha256(u_data);
    verify("u.data", release.u_data_sha256, found)?;
    Ok([b"user_id\titem_id\trating\ttimestamp\n", u_data].concat())
}

fn json_lines(movies: Vec<Movie>) -> Vec<u8> {
    let mut lines = String::new();
    for movie in movies {
        // A struct of strings cannot fail to serialise.
        lines += &serde_json::to_string(&movie).unwrap_or_default();
        lines.push('\n');
    }
    lines.into_bytes()
}

fn movies_of_u_item(bytes: &[u8]) -> Result<Vec<Movie>, FetchError> {
    let text = encoding_rs::mem::decode_latin1(bytes);
    let mut movies = Vec::new();
    for (index, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let error = |problem| FetchError::Format {
            file: "u.item",
            line: index + 1,
            problem,
        };
        // id, title, release date, video release date, address, then a flag per genre.
        let fields: Vec<&str> = line.split('|').collect();
        if fields.len() != 5 + GENRES.len() {
            return Err(error(format!(
                "{} fields instead of {}",
                fields.len(),
                5 + GENRES.len()
            )));
        }
        let mut genres = Vec::new();
        for (flag, genre) in fields[5..].iter().zip(GENRES) {
            match *flag {
                "0" => {}
                "1" => genres.push(genre.to_owned()),
                other => return Err(error(format!("genre flag `{other}`"))),
            }
        }
        let (title, year) = title_and_year(fields[1]);
        movies.push(Movie {
            item_id: fields[0].to_owned(),
            title,
            year,
            genres,
        });
    }
    Ok(movies)
}

fn movies_of_recbole(bytes: &[u8]) -> Result<Vec<Movie>, FetchError> {
    let error = |index: usize, problem| FetchError::Format {
        file: "ml-100k.item",
        line: index + 1,
        problem,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| error(0, "not UTF-8".to_owned()))?;
    let mut movies = Vec::new();
    for (index, line) in text
        .lines()
        .enumerate()
        .skip(1)
        .filter(|(_, line)| !line.is_empty())
    {
        let [item_id, title, year, genres] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(error(
                index,
                format!("`{line}` has other fields than id, title, year and genres"),
            ));
        };
        let (title, year) = title_and_year(&original_title(title, year));
        let genres: Vec<String> = genres.split_whitespace().map(str::to_owned).collect();
        if let Some(genre) = genres
            .iter()
            .find(|genre| !GENRES.contains(&genre.as_str()))
        {
            return Err(error(index, format!("genre `{genre}`")));
        }
        movies.push(Movie {
            item_id: item_id.to_owned(),
            title,
            year,
            genres,
        });
    }
    Ok(movies)
}

/// The title as in `u.item`, of which RecBole took the content of the last parentheses.
fn original_title(title: &str, year: &str) -> String {
    match (title, year) {
        ("unkonwn", "unkonwn") => "unknown".to_owned(),
        (title, "") => title.to_owned(),
        (title, year) => format!("{title} ({year})"),
    }
}

/// Splits `Title (1995)` or `Title (1995) (V)`; the year is empty where there is none.
fn title_and_year(text: &str) -> (String, String) {
    let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rest = whole.as_str();
    while let Some((title, inner)) = rest
        .strip_suffix(')')
        .and_then(|rest| rest.rsplit_once('('))
    {
        let title = title.trim_end();
        if inner.len() == 4 && inner.bytes().all(|byte| byte.is_ascii_digit()) {
            return (title.to_owned(), inner.to_owned());
        }
        let is_tag = matches!(inner, "V" | "TV" | "VG");
        if !is_tag {
            break;
        }
        rest = title;
    }
    (whole, String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_lose_their_year_whatever_follows_it() {
        for (text, title, year) in [
            ("Toy Story (1995)", "Toy Story", "1995"),
            ("Shall We Dance? (1937) ", "Shall We Dance?", "1937"),
            (
                "Land Before  Time III (1995) (V)",
                "Land Before Time III",
                "1995",
            ),
            ("Seven (Se7en) (1995)", "Seven (Se7en)", "1995"),
            (
                "2001: A Space Odyssey (1968)",
                "2001: A Space Odyssey",
                "1968",
            ),
            ("unknown", "unknown", ""),
            ("Nothing (V)", "Nothing (V)", ""),
        ] {
            assert_eq!(title_and_year(text), (title.to_owned(), year.to_owned()));
        }
    }

    #[test]
    fn both_forms_give_the_same_movies() {
        let flags = |set: &[&str]| {
            GENRES
                .map(|genre| if set.contains(&genre) { "1" } else { "0" })
                .join("|")
        };
        let u_item = [
            format!(
                "1|Café au Lait (1993)|01-Jan-1993||http://x/|{}",
                flags(&["Comedy", "Animation"])
            ),
            format!(
                "2|Shall We Dance? (1937) |01-Jan-1937||http://x/|{}",
                flags(&["Musical"])
            ),
            format!("3|unknown||||{}", flags(&["unknown"])),
            format!(
                "4|Giving (1995) (V)|01-Jan-1995||http://x/|{}",
                flags(&["Children's", "Sci-Fi"])
            ),
        ]
        .join("\n");
        let latin1: Vec<u8> = u_item.chars().map(|c| u8::try_from(c).unwrap()).collect();
        let recbole = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n\
                       1\tCafé au Lait\t1993\tAnimation Comedy\n2\tShall We Dance?\t1937\tMusical\n\
                       3\tunkonwn\tunkonwn\tunknown\n4\tGiving (1995)\tV\tChildren's Sci-Fi\n";
        let official = json_lines(movies_of_u_item(&latin1).unwrap());
        assert_eq!(
            official,
            json_lines(movies_of_recbole(recbole.as_bytes()).unwrap())
        );
        let text = String::from_utf8(official).unwrap();
        assert_eq!(
            text.lines().next(),
            Some(
                r#"{"item_id":"1","title":"Café au Lait","year":"1993","genres":["Animation","Comedy"]}"#
            )
        );
        assert_eq!(
            text.lines().nth(2),
            Some(r#"{"item_id":"3","title":"unknown","year":"","genres":["unknown"]}"#)
        );
        assert_eq!(
            text.lines().nth(3),
            Some(
                r#"{"item_id":"4","title":"Giving","year":"1995","genres":["Children's","Sci-Fi"]}"#
            )
        );
    }
}
