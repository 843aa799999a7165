//! Hostile input through the command: what has no end is refused by name and limit, and what is merely large is
//! read in linear time and little memory.

use std::fmt::Write;
use std::time::{Duration, Instant};

use genair_test_support::lab::Lab;

/// Generous: each takes a second or two, and took minutes while the time was quadratic.
const LIMIT: Duration = Duration::from_secs(60);

const SPEC: &str =
    "[sweep]\nname = \"s\"\nbackbone = \"popularity\"\n[dataset.d]\nkind = \"synthetic\"\n";

#[test]
fn files_without_end_and_files_that_are_none_are_refused() {
    let lab = Lab::new();
    lab.write("s.toml", SPEC);
    lab.genair(["sweep", "s.toml"]).expect(0);
    let pipe = std::process::Command::new("mkfifo")
        .arg(lab.path("pipe"))
        .status();
    assert!(pipe.unwrap().success());
    lab.write("large", []);
    let large = std::fs::File::options().write(true).open(lab.path("large"));
    large.unwrap().set_len(1 << 40).unwrap();
    for (file, expected) in [
        ("/dev/zero", "it is a device; only regular files are read"),
        ("/dev/tty", "only regular files are read"),
        ("pipe", "it is a pipe; only regular files are read"),
        (".", "it is a folder; only regular files are read"),
        (
            "large",
            "it is larger than 4 MiB, the limit for such a file",
        ),
    ] {
        for (what, text) in [
            ("extends", format!("extends = \"{file}\"\n{SPEC}")),
            (
                "lists",
                format!("extends = [\"{file}\", \"{file}\"]\n{SPEC}"),
            ),
        ] {
            lab.write(format!("{what}.toml"), text);
            let told = lab.genair(["check", &format!("{what}.toml")]).expect(2);
            assert!(told.stderr.contains(expected), "{told}");
        }
        for arguments in [
            &["check", file][..],
            &["data", "stats", file],
            &["report", file],
            &["results", "sql", "--file", file],
        ] {
            if file == "/dev/tty" {
                continue; // There need not be one.
            }
            let told = lab.genair(arguments.iter().copied()).expect(2);
            assert!(told.stderr.contains(expected), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn files_that_extend_each_other_without_end_are_refused() {
    let lab = Lab::new();
    for at in 0..2_000 {
        lab.write(
            format!("{at}.toml"),
            format!("extends = \"{}.toml\"\n", at + 1),
        );
    }
    lab.write("2000.toml", SPEC);
    let told = lab.genair(["data", "stats", "0.toml"]).expect(2);
    assert!(
        told.stderr.contains("at most 32 that extend each other"),
        "{told}"
    );
    assert!(told.stderr.starts_with("error: 32.toml:1"), "{told}");
    lab.genair(["data", "stats", "1970.toml"]).expect(0);
    let names: Vec<String> = (0..300).map(|at| format!("\"w{at}.toml\"")).collect();
    (0..300).for_each(|at| lab.write(format!("w{at}.toml"), "[train]\nthreads = 1\n"));
    lab.write(
        "wide.toml",
        format!("extends = [{}]\n{SPEC}", names.join(", ")),
    );
    let told = lab.genair(["data", "stats", "wide.toml"]).expect(2);
    assert!(
        told.stderr.contains("too many files: at most 256"),
        "{told}"
    );
}

fn timed(lab: &Lab, what: &str, arguments: &[&str], code: i32) -> String {
    let begin = Instant::now();
    let told = lab.genair(arguments.iter().copied()).expect(code);
    assert!(begin.elapsed() < LIMIT, "{what}: {:?}", begin.elapsed());
    format!("{}{}", told.stdout, told.stderr)
}

#[test]
fn long_lists_of_choices_take_linear_time() {
    let lab = Lab::new();
    let values: Vec<String> = (1..=10_000)
        .map(|n| format!("{}", f64::from(n) / 2e4))
        .collect();
    let values = values.join(", ");
    let spec = |section: &str| {
        let spec = SPEC.replace("\"popularity\"", "\"sasrec\"");
        let search = "[search]\nkind = \"random\"\nruns = 5000\n";
        format!("{spec}{section} = {{ choice = [{values}] }}\n{search}")
    };
    for section in [
        "[train]\noptimizer.lr",
        "[backbone.sasrec]\ndropout",
        "[representation.id]\ncalibration.alpha",
    ] {
        lab.write("choice.toml", spec(section));
        let said = timed(&lab, section, &["check", "choice.toml"], 0);
        assert!(said.contains("runs"), "{said}");
    }
    // As many, each of them wrong.
    let wrong = spec("[train]\noptimizer.lr").replace("0.", "-0.");
    lab.write("choice.toml", wrong);
    let said = timed(&lab, "wrong choices", &["check", "choice.toml"], 2);
    assert!(said.contains("`train.optimizer.lr` is -0."), "{said}");
}

#[test]
fn many_profiles_take_linear_time() {
    let lab = Lab::new();
    let mut text = SPEC.replace("\"popularity\"", "[\"sasrec\", \"gru4rec\"]");
    for at in 1..=300 {
        write!(
            text,
            "[profile.p{at}]\nbackbone.sasrec.dropout = {}\nbackbone.gru4rec.dropout = {}\n",
            f64::from(at) / 1e3,
            f64::from(at) / 1e4
        )
        .unwrap();
    }
    lab.write("s.toml", text);
    let said = timed(&lab, "profiles", &["check", "s.toml"], 0);
    assert_eq!(said.matches("--profile p").count(), 300, "{said}");
}

#[test]
fn many_mistakes_and_long_names_take_linear_time() {
    let lab = Lab::new();
    let keys: String = (0..50_000).map(|n| format!("k{n} = 1\n")).collect();
    lab.write("keys.toml", format!("{SPEC}[train]\n{keys}"));
    let said = timed(&lab, "keys", &["check", "keys.toml"], 2);
    assert!(
        said.contains("there are more than these 1000 problems"),
        "{said}"
    );

    let tables: String = (0..20_000)
        .map(|n| format!("[representation.r{n}]\nkind = \"random\"\n"))
        .collect();
    lab.write("tables.toml", format!("{SPEC}{tables}"));
    timed(&lab, "tables", &["data", "stats", "tables.toml"], 0);

    let long = "x".repeat(200_000);
    lab.write(
        "long.toml",
        format!("{SPEC}[train]\n{long} = 1\n[representation.{long}y]\nkind = \"{long}\"\n")
            .replace(
                "backbone =",
                &format!("representation = \"{long}\"\nbackbone ="),
            ),
    );
    timed(&lab, "names", &["check", "long.toml"], 2);
}

#[test]
fn brackets_that_are_never_closed_are_refused_at_their_line() {
    let lab = Lab::new();
    lab.write("s.toml", SPEC);
    for open in ["[", "{ a = ", "[{ a = ", "{ a = 1\n[[b]]\nc = "] {
        let text = open.repeat(100_000);
        lab.write("deep.toml", format!("{SPEC}x = {text}\n"));
        for arguments in [
            &["check", "deep.toml"][..],
            &["data", "stats", "deep.toml"],
            &["report", "deep.toml"],
        ] {
            let told = lab.genair(arguments.iter().copied()).expect(2);
            assert!(
                told.stderr.contains("more than 64 brackets are open"),
                "{told}"
            );
        }
        let set = format!("train.threads={}", open.repeat(5_000));
        let told = lab
            .genair(["data", "stats", "s.toml", "--set", &set])
            .expect(2);
        assert!(
            told.stderr.contains("more than 64 brackets are open"),
            "{told}"
        );
    }
    for parts in [50, 5_000, 50_000] {
        let set = format!("{}=1", vec!["a"; parts].join("."));
        let told = lab
            .genair(["data", "stats", "s.toml", "--set", &set])
            .expect(2);
        let refused = ["a key has at most 32 parts", "is not a dotted key"];
        assert!(
            refused.iter().any(|said| told.stderr.contains(said)),
            "{told}"
        );
    }
}
