//! Warnings where representations are not trained or searched alike.

use super::tests::expand;

const SPEC: &str = r#"
[sweep]
name = "t"
backbone = "sasrec"
representation = ["id", "noise"]
[dataset.made]
kind = "synthetic"
[representation.noise]
kind = "random"
width = 8
[backbone.sasrec]
dropout = { uniform = [0.1, 0.6] }
[train]
loss.kind = ["bce", "cross-entropy"]
batch_size = [64, 128]
optimizer.lr = { log_uniform = [1e-4, 1e-2] }
[search]
kind = "sobol"
runs = 4
"#;

fn warnings(more: &str) -> String {
    let sweep = expand(&format!("{SPEC}{more}"), &[]).unwrap();
    let warnings: Vec<String> = sweep.warnings.iter().map(ToString::to_string).collect();
    warnings.join("\n")
}

#[test]
fn representations_that_are_alike_in_all_but_vectors_are_compared_fairly() {
    assert_eq!(warnings(""), "");
    let searched = expand(SPEC, &[]).unwrap().searched;
    assert_eq!(searched, ["dropout", "lr"], "lists are a grid");
}

#[test]
fn another_loss_budget_or_search_space_is_warned_of() {
    let more = r#"
[[search.exclude]]
representation = "noise"
train.loss.kind = "bce"
[[search.exclude]]
representation = "id"
train.batch_size = 128
"#;
    insta::assert_snapshot!(warnings(more), @r#"
    s.toml:15: `train.batch_size` is 64 for representation `id`, but 128, 64 for `noise`
    hint: a comparison of representations is fair if all have the same loss, budget and search space
    s.toml:14: `train.loss.kind` is "bce", "cross-entropy" for representation `id`, but "cross-entropy" for `noise`
    hint: a comparison of representations is fair if all have the same loss, budget and search space
    "#);
    let more = "[representation.noise.adapter]\ninit_scale = { uniform = [0.1, 1.0] }\n";
    insta::assert_snapshot!(warnings(more), @r"
    s.toml:21: `adapter.init_scale` is not searched for representation `id`, but searched over { uniform = [0.1, 1.0] } for `noise`
    hint: a comparison of representations is fair if all have the same loss, budget and search space
    ");
}

#[test]
fn a_search_of_other_points_is_warned_of() {
    let points = r#"kind = "points"
[[search.point]]
train.optimizer.lr = 1e-3
[[search.point]]
train.optimizer.lr = 1e-2
representation.noise.adapter.init_scale = 0.5
[[search.point]]
train.optimizer.lr = 1e-2
representation.noise.adapter.init_scale = 0.1
"#;
    let text = SPEC.replace("kind = \"sobol\"\nruns = 4\n", points);
    let text = text.replace("optimizer.lr = { log_uniform = [1e-4, 1e-2] }\n", "");
    let text = text.replace("dropout = { uniform = [0.1, 0.6] }\n", "");
    let sweep = expand(&text, &[]).unwrap();
    let warnings: Vec<String> = sweep.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    s.toml:21: `adapter.init_scale` is not searched for representation `id`, but searched over 0.1, 0.5 for `noise`
    hint: a comparison of representations is fair if all have the same loss, budget and search space
    s.toml:15: `search` has 2 points for representation `id`, but 3 for `noise`
    hint: a comparison of representations is fair if all have the same loss, budget and search space
    ");
}
