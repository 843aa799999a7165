//! Mutations of an input: of any bytes, and of the form that its extension says.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::corpus::Seed;

/// Texts in place of a value, a key or a field; `@` stands for something long.
const TEXTS: [&str; 34] = [
    "",
    "0",
    "-1",
    "1",
    "0.5",
    "nan",
    "inf",
    "-inf",
    "-0.0",
    "1e308",
    "1e-324",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999",
    "true",
    "1979-05-27",
    "\"\"",
    "\"\\u0000\"",
    "\"\\u001b[2J\"",
    "\"@\"",
    "[]",
    "{}",
    "[[], {}]",
    "[1, \"a\", true]",
    "{ uniform = [0, 1] }",
    "{ log_uniform = [1e-300, 1e300] }",
    "{ int = [-9223372036854775808, 9223372036854775807] }",
    "{ choice = [@] }",
    "[@]",
    "{ a = { b = { c = 1 } } }",
    "\u{202e}\u{301}\u{1f600}",
    "@",
    "\"sasrec\"",
];

/// Parts of a spec that are put behind it; `#` counts up.
const TABLES: [&str; 10] = [
    "[profile.p#.train]\nthreads = #\n",
    "[dataset.d#]\nkind = \"synthetic\"\nusers = #\n",
    "[representation.r#]\nkind = \"random\"\nwidth = #\n",
    "[[search.point]]\ntrain.optimizer.lr = 0.#\n",
    "[[search.exclude]]\ntrain.batch_size = #\n",
    "[[schedule.first]]\nbackbone = \"b#\"\n",
    "[train.k#]\nx = [1, 2]\n",
    "[backbone.b#]\nhidden_size = [1, #]\n",
    "[table.t#]\nrows = \"#\"\n",
    "[figure.f#]\nkind = \"#\"\n",
];

/// Words of a statement.
const WORDS: [&str; 30] = [
    "SELECT",
    "FROM runs",
    "WHERE",
    "(",
    ")",
    ";",
    "--",
    "/*",
    "*/",
    "'",
    "\"",
    "`",
    "[",
    "NULL",
    "?1",
    ":a",
    "UNION ALL",
    "VACUUM INTO 'x.db'",
    "ATTACH 'y.db' AS y",
    "PRAGMA journal_mode = DELETE",
    "DELETE FROM runs",
    "WITH a AS (",
    "CAST(x'00' AS TEXT)",
    "char(0, 27)",
    "9223372036854775808",
    "LIMIT -1",
    "1e999",
    "x'gg'",
    "\u{0}",
    "EXPLAIN",
];

/// Bytes that one mutation adds at the most; several would multiply otherwise.
const MOST: usize = 4 << 20;

/// So many times what has `length` bytes, or as often as [`MOST`] allows.
fn times(wanted: usize, length: usize) -> usize {
    wanted.min(MOST / length.max(1)).max(1)
}

/// One to four mutations of a seed, which may take something from the others.
pub(crate) fn mutate(rng: &mut Xoshiro256PlusPlus, seed: &Seed, seeds: &[Seed]) -> Vec<u8> {
    let mut bytes = seed.bytes.clone();
    let extension = seed
        .name
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension);
    for _ in 0..rng.random_range(1..=4) {
        if bytes.len() > MOST {
            break;
        }
        let by_form = rng.random_range(0..3) > 0;
        bytes = match extension {
            "toml" if by_form => of_lines(rng, &bytes, toml),
            "tsv" | "csv" | "inter" | "item" | "jsonl" | "txt" if by_form => {
                of_lines(rng, &bytes, table)
            }
            "sql" if by_form => statement(rng, &bytes),
            "so" => library(rng, bytes),
            _ => any(rng, bytes, seeds),
        };
    }
    bytes
}

/// A place in the bytes, their end included.
fn place(rng: &mut Xoshiro256PlusPlus, bytes: &[u8]) -> usize {
    rng.random_range(0..=bytes.len())
}

/// A short stretch of the bytes.
fn stretch(rng: &mut Xoshiro256PlusPlus, bytes: &[u8]) -> std::ops::Range<usize> {
    let start = place(rng, bytes);
    start..(start + rng.random_range(0..64)).min(bytes.len())
}

/// A number at the edge of some type, little- or big-endian, of 1 to 8 bytes.
fn extreme(rng: &mut Xoshiro256PlusPlus, length: usize) -> Vec<u8> {
    let length = length as u64;
    let numbers = [
        0,
        1,
        0x7f,
        0x80,
        0xff,
        0x7fff,
        0xffff,
        0x7fff_ffff,
        0xffff_ffff,
        1 << 32,
        1 << 40,
        1 << 62,
        (1 << 62) + 1,
        u64::MAX >> 1,
        u64::MAX,
        u64::MAX - 7,
        length,
        length + 1,
        length.wrapping_sub(1),
        length / 8,
    ];
    let number = numbers[rng.random_range(0..numbers.len())];
    let width = [1, 2, 4, 8][rng.random_range(0..4)];
    match rng.random_range(0..4) {
        0 => number.to_be_bytes()[8 - width..].to_vec(),
        _ => number.to_le_bytes()[..width].to_vec(),
    }
}

/// One of [`TEXTS`], what is long in it made so.
fn text(rng: &mut Xoshiro256PlusPlus) -> String {
    let text = TEXTS.choose(rng).copied().unwrap_or_default();
    if !text.contains('@') {
        return text.to_owned();
    }
    let count = [10, 1_000, 20_000][rng.random_range(0..3)];
    let long = match text {
        "\"@\"" | "@" => "x".repeat(count),
        _ => {
            let numbers: Vec<String> = (1..=count).map(|n| format!("0.{n:05}")).collect();
            numbers.join(", ")
        }
    };
    text.replace('@', &long)
}

/// A mutation of any bytes.
fn any(rng: &mut Xoshiro256PlusPlus, mut bytes: Vec<u8>, seeds: &[Seed]) -> Vec<u8> {
    let at = place(rng, &bytes);
    match rng.random_range(0..11) {
        0 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if at < bytes.len() => bytes[at] = rng.random(),
        2 => drop(bytes.drain(stretch(rng, &bytes))),
        3 => bytes.truncate(at),
        4 => {
            let again = bytes[stretch(rng, &bytes)].to_vec();
            let times = [1, 2, 100, 10_000][rng.random_range(0..4)];
            bytes.splice(at..at, again.repeat(times));
        }
        5 | 6 => {
            let number = extreme(rng, bytes.len());
            let end = (at + number.len()).min(bytes.len());
            bytes.splice(at..end, number);
        }
        7 => {
            let other = &seeds[rng.random_range(0..seeds.len())].bytes;
            let from = place(rng, other);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        8 => {
            let strange: [&[u8]; 6] =
                [b"\xef\xbb\xbf", b"\0", b"\r", b"\xff\xfe", b"\xc3", b"\n\n"];
            bytes.splice(at..at, strange[rng.random_range(0..6)].iter().copied());
        }
        9 => {
            let bracket = [b'[', b'(', b'{', b']', b'}', b'"'][rng.random_range(0..6)];
            let count = [1, 50, 200, 5_000][rng.random_range(0..4)];
            bytes.splice(at..at, std::iter::repeat_n(bracket, count));
        }
        _ => {
            // A number that is written out, as in JSON and in the header of an array.
            let digit = |byte: &u8| byte.is_ascii_digit();
            let Some(start) = bytes[at..].iter().position(digit).map(|more| at + more) else {
                return bytes;
            };
            let end = bytes[start..].iter().position(|byte| !digit(byte));
            let end = end.map_or(bytes.len(), |more| start + more);
            bytes.splice(start..end, text(rng).into_bytes());
        }
    }
    bytes
}

/// A mutation of one line of a text, or of their order.
fn of_lines(
    rng: &mut Xoshiro256PlusPlus,
    bytes: &[u8],
    change: fn(&mut Xoshiro256PlusPlus, &str, &mut Vec<String>, usize),
) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return bytes.to_vec();
    }
    let at = rng.random_range(0..lines.len());
    match rng.random_range(0..8) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let other = rng.random_range(0..lines.len());
            lines.swap(at, other);
        }
        _ => {
            let line = lines[at].clone();
            change(rng, &line, &mut lines, at);
        }
    }
    let end = ["\n", "\n", "\n", "\r\n", "\r"][rng.random_range(0..5)];
    (lines.join(end) + end).into_bytes()
}

/// Another key or value of a spec, or many more tables.
fn toml(rng: &mut Xoshiro256PlusPlus, line: &str, lines: &mut Vec<String>, at: usize) {
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    lines[at] = match rng.random_range(0..7) {
        0 | 1 => format!("{key}= {}", text(rng)),
        2 => format!("{key}= [{value}, {}]", text(rng)),
        3 => format!("{} = {value}", text(rng)),
        4 => {
            let key = key.trim();
            let depth = times([2, 20, 100, 1_000][rng.random_range(0..4)], key.len());
            format!("{} = {value}", vec![key; depth].join("."))
        }
        5 => {
            let depth = [2, 20, 100, 1_000][rng.random_range(0..4)];
            format!("{key}= {}{value}{}", "[".repeat(depth), "]".repeat(depth))
        }
        _ => {
            let table = TABLES.choose(rng).copied().unwrap_or_default();
            let count = [1, 3, 300][rng.random_range(0..3)];
            lines.extend((0..count).map(|n: u32| table.replace('#', &n.to_string())));
            line.to_owned()
        }
    };
}

/// Another field of a table, or another number of fields.
#[expect(clippy::ptr_arg, reason = "all ways to change lines have one form")]
fn table(rng: &mut Xoshiro256PlusPlus, line: &str, lines: &mut Vec<String>, at: usize) {
    let separator = if line.contains('\t') { '\t' } else { ',' };
    let mut fields: Vec<String> = line.split(separator).map(str::to_owned).collect();
    let field = rng.random_range(0..fields.len());
    match rng.random_range(0..7) {
        0 => drop(fields.remove(field)),
        1 => fields.insert(field, text(rng)),
        2 => fields[field] = text(rng),
        3 => fields[field].insert(0, '"'),
        4 => fields[field] = format!("\"{}\"", fields[field]),
        5 => fields[field]
            .push_str(["\0", "\u{feff}", "\r", "\"\"", " ", "\u{85}"][rng.random_range(0..6)]),
        _ => {
            // A wide table, if every line is.
            let count = [3, 300, 30_000][rng.random_range(0..3)];
            let count = times(count, 7 * lines.len());
            let more: Vec<String> = (0..count).map(|n| format!("c{n}")).collect();
            let more = more.join(&separator.to_string());
            lines.iter_mut().for_each(|line| {
                line.push(separator);
                line.push_str(&more);
            });
            return;
        }
    }
    lines[at] = fields.join(&separator.to_string());
}

/// Words of a statement put in, taken out or doubled.
fn statement(rng: &mut Xoshiro256PlusPlus, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut words: Vec<&str> = text.split(' ').collect();
    let at = rng.random_range(0..words.len());
    match rng.random_range(0..4) {
        0 => words.insert(at, WORDS.choose(rng).copied().unwrap_or_default()),
        1 => words[at] = WORDS.choose(rng).copied().unwrap_or_default(),
        2 => drop(words.remove(at)),
        _ => {
            let word = words[at];
            let repeats = times([2, 100, 5_000][rng.random_range(0..3)], word.len());
            words.splice(at..at, std::iter::repeat_n(word, repeats));
        }
    }
    words.join(" ").into_bytes()
}

/// Damage to a library: its header, its tables, or anywhere; or its end is missing.
fn library(rng: &mut Xoshiro256PlusPlus, mut bytes: Vec<u8>) -> Vec<u8> {
    let most = match rng.random_range(0..3) {
        0 => bytes.len().min(64),
        1 => bytes.len().min(4096),
        _ => bytes.len(),
    };
    let at = rng.random_range(0..=most);
    if rng.random_range(0..4) == 0 {
        bytes.truncate(at);
        return bytes;
    }
    let number = extreme(rng, bytes.len());
    let end = (at + number.len()).min(bytes.len());
    let start = at.min(end);
    let width = end - start;
    bytes[start..end].copy_from_slice(&number[..width]);
    bytes
}
