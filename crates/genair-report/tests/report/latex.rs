//! The LaTeX compiles. TeX is half a gigabyte, so only `just test-latex` runs this.

use std::process::Command;

use genair_report::{Lacking, ReportSpec, make_report, write_report};

use crate::database::{Database, main_sweep};

const REPORT: &str = r#"
[report]
sweeps = ["main"]
names = { archetype = "R&D_50% #1 {x} ~ ^ \\ $ <b> \"q\" | [y] *" }

[table.main]
preset = "main"
caption = "All of A&B_C: 100 % # $ ~ ^"
baseline = { representation = "id" }

[table.ablation]
preset = "ablation"
where = { backbone = ["sasrec"] }
baseline = { representation = "id" }

[table.cohorts]
preset = "cohorts"

[table.efficiency]
preset = "efficiency"

[figure.bars]
kind = "cohorts"
caption = "Bars of A&B_C, 100 %"

[figure.curves]
kind = "learning-curves"
"#;

#[test]
#[ignore = "needs pdflatex: `just test-latex` runs it"]
fn tables_compile() {
    let mut database = Database::of(&main_sweep());
    let spec = ReportSpec::parse("report.toml".as_ref(), REPORT).unwrap();
    let report = make_report(&mut database.store, &spec, &[], Lacking::Refuse).unwrap();
    let folder = database.path("paper");
    write_report(&report, &spec, &folder).unwrap();
    let output = Command::new("pdflatex")
        .args(["-interaction=nonstopmode", "-halt-on-error", "index.tex"])
        .current_dir(&folder)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("Overfull \\hbox"), "{log}");
    assert!(folder.join("index.pdf").exists());
}
