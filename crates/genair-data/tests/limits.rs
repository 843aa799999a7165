//! Data files beyond the stated limits: refused by name and line, in little memory and in linear time.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use genair_data::{fingerprint, load};
use genair_protocol::{DatasetKind, DatasetSpec};
use tempfile::TempDir;

/// What [`load`] says about files of a folder, which is left out of the text.
fn refused(files: &[(&str, &[u8])]) -> String {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let is_recbole = files.iter().any(|(name, _)| name.contains(".inter"));
    let spec = DatasetSpec {
        path: Some(folder.path().to_owned()),
        kind: match is_recbole {
            true => DatasetKind::Recbole,
            false => DatasetKind::Table,
        },
        ..DatasetSpec::default()
    };
    let error = load(&spec).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

/// Compressed text that ends in a hundred megabytes without a line end.
fn bomb(begin: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(begin.as_bytes()).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        encoder.write_all(&chunk).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_line_without_end_is_refused_where_it_begins() {
    let rows = "user_id\titem_id\ttimestamp\nu\ta\t1\n";
    let inter = "user_id:token\titem_id:token\ttimestamp:float\nu\ta\t1\n";
    let items = "{\"item_id\": \"a\"}\n{\"item_id\": \"b\", \"title\": \"";
    let limit = "the line is longer than 16 MiB, the limit for one";
    for (files, place) in [
        (
            vec![("interactions.tsv.gz", bomb(rows))],
            "interactions.tsv.gz:3",
        ),
        (
            vec![("interactions.tsv.gz", bomb(""))],
            "interactions.tsv.gz:1",
        ),
        (
            vec![("interactions.csv.gz", bomb(&rows.replace('\t', ",")))],
            "interactions.csv.gz:3",
        ),
        (vec![("x.inter.gz", bomb(inter))], "x.inter.gz:3"),
        (
            vec![
                ("interactions.tsv", rows.into()),
                ("items.jsonl.gz", bomb(items)),
            ],
            "items.jsonl.gz:2",
        ),
        (
            vec![
                ("x.inter", inter.into()),
                ("x.item.gz", bomb("item_id:token\nb\n")),
            ],
            "x.item.gz:3",
        ),
    ] {
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_slice()))
            .collect();
        let said = refused(&files);
        assert!(said.starts_with(&format!("{place}: {limit}")), "{said}");
    }
}

#[test]
fn a_quote_that_is_never_closed_is_refused_where_it_opens() {
    let mut text = "user_id,item_id,timestamp\nu,a,1\nu,\"b,2\n".to_owned();
    while text.len() < 20 << 20 {
        text.push_str("u,c,3\n");
    }
    let said = refused(&[("interactions.csv", text.as_bytes())]);
    assert!(said.starts_with("interactions.csv:3: "), "{said}");
    assert!(said.contains("a quote that is never closed"), "{said}");
}

#[test]
fn data_are_regular_files() {
    let folder = TempDir::new().unwrap();
    let spec = DatasetSpec {
        path: Some(folder.path().to_owned()),
        ..DatasetSpec::default()
    };
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("interactions.tsv")).unwrap();
    for error in [load(&spec).unwrap_err(), fingerprint(&spec).unwrap_err()] {
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "it is a device; only regular files are read");
    }
}

#[test]
fn a_wide_header_takes_linear_time() {
    // Some quadratic 20 s at this width, before; well under one now.
    const COLUMNS: usize = 100_000;
    let begin = Instant::now();
    for (name, separator, of_type) in [
        ("interactions.tsv", "\t", ["", "", ""]),
        ("interactions.csv", ",", ["", "", ""]),
        ("x.inter", "\t", [":token", ":float", ":token"]),
    ] {
        let more = |text: &dyn Fn(usize) -> String| {
            let texts: Vec<String> = (0..COLUMNS).map(text).collect();
            texts.join(separator)
        };
        let [token, float, other] = of_type;
        let header = [
            format!("user_id{token}"),
            format!("item_id{token}"),
            format!("timestamp{float}"),
            more(&|n| format!("c{n}{other}")),
        ];
        let row = |time: &str| ["u", "a", time, &more(&|_| "1".to_owned())].join(separator);
        let text = format!(
            "{}\n{}\n{}\n",
            header.join(separator),
            row("1"),
            row("soon")
        );
        let said = refused(&[(name, text.as_bytes())]);
        assert!(said.ends_with("3: `timestamp` is `soon`; write a finite number or an ISO 8601 time, or name the form with `time_format`"));

        let text = text.replacen(
            &format!("c{}{other}", COLUMNS - 1),
            &format!("c7{other}"),
            1,
        );
        let said = refused(&[(name, text.as_bytes())]);
        assert!(said.contains("two columns `c7"), "{said}");

        let text = text.replacen("item_id", "item", 1).replacen("c7", "c_7", 1);
        let said = refused(&[(name, text.as_bytes())]);
        assert!(said.len() < 500, "{}", &said[..500]);
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
}
