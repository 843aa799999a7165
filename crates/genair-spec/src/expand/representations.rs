//! What `[representation.NAME]` says of vectors that exist before training.

use genair_archetype::{VectorsForm, Whitening};
use genair_protocol::{
    AdapterKind, DeltaSpec, Fusion, FusionSpec, Permutation, RepresentationKind, Scale, TableInit,
};

use super::tests::{expand, problems};
use crate::{SweepRun, VectorsStage};

fn spec(representations: &str) -> String {
    let names = representations
        .lines()
        .filter_map(|line| line.strip_prefix("[representation.")?.strip_suffix(']'));
    let names: Vec<&str> = names.collect();
    format!(
        "[sweep]\nname = \"t\"\nbackbone = \"sasrec\"\nrepresentation = {names:?}\n\
         [dataset.made]\nkind = \"synthetic\"\n[archetype]\nengine = \"fake\"\n{representations}"
    )
}

fn form(run: &SweepRun) -> &VectorsForm {
    match run.vectors.as_ref().unwrap() {
        VectorsStage::Archetype { form, .. }
        | VectorsStage::Text { form, .. }
        | VectorsStage::Import { form, .. } => form,
    }
}

#[test]
fn each_choice_reaches_the_stage_or_the_run() {
    let text = spec(
        "[representation.start]\nkind = \"archetype\"\njoint = true\ncomponents = 64\nwhiten = { ridge = 50 }\n\
         scale = { std = 0.1 }\nadapter.kind = \"none\"\nfinetune = true\ndelta = { max_norm = 0.5 }\n\
         [representation.fused]\nkind = \"text\"\nwhiten = \"full\"\nscale = \"unit\"\n\
         fusion = { kind = \"dual\", init = \"vectors\" }\nadapter.dropout = 0.2\n\
         [representation.named]\nkind = \"random\"\nfusion = \"null-space\"\n",
    );
    let runs = expand(&text, &[]).unwrap().runs;
    let frozen = |run: usize| runs[run].spec.0.representation.frozen.clone().unwrap();
    assert_eq!(
        form(&runs[0]),
        &VectorsForm {
            components: 64,
            whiten: Whitening::Ridge(50.0),
            joint: true,
            groups: None,
            fitted: None,
        }
    );
    let start = frozen(0);
    assert_eq!(start.scale, Some(Scale::Std(0.1)));
    assert_eq!(start.delta, Some(DeltaSpec { max_norm: 0.5 }));
    assert_eq!(
        (start.adapter.kind, start.finetune),
        (AdapterKind::None, true)
    );
    assert_eq!(
        (form(&runs[1]).components, form(&runs[1]).whiten),
        (0, Whitening::Full)
    );
    let fused = frozen(1);
    assert_eq!(fused.scale, Some(Scale::Unit));
    let dual = FusionSpec {
        kind: Fusion::Dual,
        init: TableInit::Vectors,
        width: None,
    };
    assert_eq!((fused.fusion, fused.adapter.dropout), (dual, 0.2));
    assert_eq!(frozen(2).fusion.kind, Fusion::NullSpace);
}

#[test]
fn a_permuted_representation_has_the_settings_and_axes_of_the_other() {
    let text = spec(
        "[representation.shuffled]\nkind = \"permuted\"\nof = \"start\"\nwithin = \"genres\"\n\
         [representation.start]\nkind = \"archetype\"\nscale = { std = [0.05, 0.1] }\n",
    );
    let runs = expand(&text, &[]).unwrap().runs;
    assert_eq!(runs.len(), 4);
    for (shuffled, start) in runs[..2].iter().zip(&runs[2..]) {
        let (own, other) = (
            &shuffled.spec.0.representation,
            &start.spec.0.representation,
        );
        assert_eq!(own.kind, RepresentationKind::Permuted);
        let (own, other) = (own.frozen.as_ref().unwrap(), other.frozen.as_ref().unwrap());
        assert_eq!(
            (own.permuted, own.scale),
            (Some(Permutation::Groups), other.scale)
        );
        assert_eq!(form(shuffled).groups.as_deref(), Some("genres"));
        assert_eq!(shuffled.labels.axes, start.labels.axes);
    }
}

#[test]
fn what_would_be_without_effect_is_refused() {
    let text = spec(
        "[representation.a]\nkind = \"archetype\"\ndelta = { max_norm = 0.5 }\n\
         [representation.b]\nkind = \"archetype\"\npart = \"context\"\njoint = true\n\
         [representation.c]\nkind = \"text\"\njoint = true\n\
         [representation.d]\nkind = \"random\"\nwhiten = \"full\"\nfusion.width = 3\n\
         [representation.e]\nkind = \"archetype\"\nfusion = { kind = \"null-space\", init = \"vectors\" }\n\
         [representation.f]\nkind = \"permuted\"\nof = \"a\"\nscale = \"unit\"\n\
         [representation.g]\nkind = \"permuted\"\nof = \"x\"\n\
         [representation.h]\nkind = \"permuted\"\nof = \"f\"\n\
         [representation.i]\nkind = \"permuted\"\n\
         [representation.j]\nkind = \"archetype\"\nwhiten = \"half\"\nscale = { std = 0.0 }\nfusion = \"summ\"\n",
    );
    insta::assert_snapshot!(problems(&text), @r#"
    s.toml:11: `representation.a.delta` bounds what `finetune` moves; set `finetune = true` beside it
    s.toml:15: `representation.b.joint` joins all parts, where `part` takes one; leave one of the two out
    s.toml:18: `representation.c.joint` has no meaning for kind "text"
    hint: it belongs to kind "archetype", "vectors"
    s.toml:21: `representation.d.whiten` has no meaning for kind "random"
    hint: it belongs to kind "archetype", "text", "vectors"
    s.toml:22: `representation.d.fusion.width` has no meaning here; only "null-space" has a table of its own width
    s.toml:25: `representation.e.fusion.init` has no meaning here; it starts the table of "sum", "concat" and "dual"
    s.toml:29: `representation.f.scale` has no meaning for kind "permuted"
    hint: it belongs to kind "archetype", "text", "random", "vectors"
    s.toml:32: `representation.g.of` is "x", which the spec does not define
    hint: name a representation of kind archetype, text or vectors
    s.toml:35: `representation.h.of` is "f", which is itself shuffled
    hint: name a representation of kind archetype, text or vectors
    s.toml:36: `representation.i.of` is missing
    hint: name the representation whose vectors are to be shuffled
    s.toml:40: `representation.j.whiten` is "half"; it can be "none", "full", "ridge"
    s.toml:41: `representation.j.scale.std` is 0; it must be a finite number above 0, at most 1000000
    s.toml:42: `representation.j.fusion.kind` is "summ"; it can be "none", "sum", "concat", "null-space", "dual"
    hint: did you mean `sum`?
    "#);
}
