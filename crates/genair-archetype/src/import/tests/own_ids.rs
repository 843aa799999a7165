//! Files that say themselves which item each row is: tables, and folders of hidden states.

use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn column(name: &str) -> RowIds {
    RowIds::Own {
        column: Some(name.to_owned()),
    }
}

#[track_caller]
fn of_table(name: &str, text: &str, ids: &RowIds) -> Result<ItemVectors, String> {
    let (_folder, file) = file(name, text);
    import(&[file], ids, 0, &truncate).map_err(|error| error.to_string())
}

#[test]
fn a_table_has_its_ids_in_a_column_and_numbers_in_the_others() {
    let text = "a,item_id,b\n1.5,x,-2\n0.25,\"y, z\",1e-3\n";
    let ids = column("item_id");
    let vectors = of_table("v.csv", text, &ids).unwrap();
    assert_eq!(vectors.items, ["x", "y, z"]);
    let part = vectors.part("vectors").unwrap();
    assert_eq!(
        (part.width, &part.values[..]),
        (2, &[1.5, -2.0, 0.25, 1e-3][..])
    );
    assert_eq!(vectors.provenance["ids"], "column `item_id`");
    let tabs = "item_id\ta\tb\nx\t1.5\t-2\ny, z\t0.25\t1e-3\n";
    let tabs = of_table("v.tsv", tabs, &ids).unwrap();
    assert_eq!(tabs.parts, vectors.parts);

    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(text.as_bytes()).unwrap();
    let (_folder, packed) = file("v.CSV.gz", packed.finish().unwrap());
    assert_eq!(
        import(&[packed], &ids, 0, &truncate).unwrap().parts,
        vectors.parts
    );

    // Without such a column, rows are told by a list or the catalogue.
    let plain = of_table("v.csv", "a,b\n1,2\n3,4\n", &super::ids(2)).unwrap();
    assert_eq!(plain.items, ["i0", "i1"]);
}

#[test]
fn columns_of_lists_are_arrays_under_their_names() {
    let text = "id,context,archetype\nx,\"[1, 2.5]\",[3]\ny,\"[-1e-8,0]\",[4]\n";
    let vectors = of_table("v.csv", text, &column("id")).unwrap();
    assert_eq!(
        vectors.part("context").unwrap().values,
        [1.0, 2.5, -1e-8, 0.0]
    );
    assert_eq!(vectors.part("archetype").unwrap().values, [3.0, 4.0]);
}

#[test]
fn a_table_that_cannot_be_meant_is_refused_by_line_and_column() {
    for (text, ids, expected) in [
        (
            "id,a\nx,1\n",
            column("item"),
            "has no column `item`; its columns are `id`, `a`",
        ),
        ("id,a,a\nx,1,2\n", column("id"), "has two columns `a`"),
        ("id\nx\n", column("id"), "has no column with numbers"),
        ("id,a\n", column("id"), "has no rows"),
        (
            "id,a\nx,1\n,2\n",
            column("id"),
            "line 3: column `id` is empty",
        ),
        (
            "id,a\nx,1\ny,\n",
            column("id"),
            "line 3: column `a` is empty",
        ),
        (
            "id,a\nx,1\ny,nan\n",
            column("id"),
            "line 3: column `a` is `nan`, which is no finite number",
        ),
        (
            "id,a\nx,one\n",
            column("id"),
            "`one`, which is no number; remove the column",
        ),
        (
            "id,a\nx,1\ny,2\n",
            super::ids(2),
            "`x`, which is no number; if the column has the ids of the items, name it with --id-column",
        ),
        (
            "id,a\nx,\"[1, 2]\"\ny,[1]\n",
            column("id"),
            "line 3: column `a` has 1 numbers, and the first row has 2",
        ),
        (
            "id,a\nx,[1]\ny,[1 2]\n",
            column("id"),
            "is `[1 2]`, which is no list of numbers",
        ),
        (
            "id,a\nx,[1]\ny,2\n",
            column("id"),
            "line 3: column `a` is `2`, which is no list of numbers",
        ),
        (
            "id,a\nx,1,2\n",
            column("id"),
            "is no table (CSV error: record 1 (line: 2",
        ),
        ("id,a\nx,1\nx,2\n", column("id"), "`x`"),
    ] {
        let message = of_table("v.csv", text, &ids).unwrap_err();
        assert!(message.contains(expected), "{text:?}: {message}");
    }
    let (_folder, array) = file("v.npy", npy(&[1, 1], npyz::Order::C, vec![1.0_f32]));
    let message = import(&[array], &column("id"), 0, &truncate)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("has no columns, so none with ids"),
        "{message}"
    );
}

#[test]
fn tables_of_an_import_are_about_the_same_items() {
    let (_one, mut context) = file("c.csv", "id,a\nx,1\ny,2\n");
    let (_two, mut archetype) = file("a.csv", "id,a\nx,3\ny,4\n");
    context.part = Some("context".to_owned());
    archetype.part = Some("archetype".to_owned());
    let both = [context.clone(), archetype];
    let vectors = import(&both, &column("id"), 0, &truncate).unwrap();
    assert_eq!(vectors.parts.len(), 2);
    let (_three, mut other) = file("o.csv", "id,a\nx,3\n");
    other.part = Some("archetype".to_owned());
    let message = import(&[context, other], &column("id"), 0, &truncate)
        .unwrap_err()
        .to_string();
    assert!(message.contains("(row 2 is `y` and missing)"), "{message}");
}

#[test]
fn a_recipe_knows_the_column_of_the_ids() {
    let (_folder, file) = file("v.csv", "id,a\n1,2\n");
    let sha256 = |ids: &RowIds| {
        import_sha256(
            std::slice::from_ref(&file),
            ids,
            &VectorsForm::default(),
            None,
        )
        .unwrap()
    };
    assert_ne!(sha256(&column("id")), sha256(&column("a")));
    assert_ne!(sha256(&column("id")), sha256(&super::ids(1)));
}

fn tensors(path: &Path, tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (
            *name,
            TensorView::new(*dtype, shape.to_vec(), bytes).unwrap(),
        )
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// A model's file with the weight [2, 0.5] and an epsilon of 0.5 beside it.
fn model(folder: &Path) -> PathBuf {
    let path = folder.join("model.safetensors");
    let weight = f32s(&[2.0, 0.5]);
    let other = f32s(&[0.0; 4]);
    tensors(
        &path,
        &[
            ("lm_head.weight", Dtype::F32, &[2, 2], other),
            ("model.norm.weight", Dtype::F32, &[2], weight),
        ],
    );
    std::fs::write(folder.join("config.json"), "{\"rms_norm_eps\": 0.5}").unwrap();
    path
}

fn states(path: &Path, tokens: usize, shape: &[usize], values: &[f32]) {
    let ids: Vec<u8> = (0..tokens as i64).flat_map(i64::to_le_bytes).collect();
    tensors(
        path,
        &[
            ("token_ids", Dtype::I64, &[tokens], ids),
            ("hidden_states", Dtype::F32, shape, f32s(values)),
        ],
    );
}

#[track_caller]
fn of_folder(folder: &Path, norm: Option<&FinalNorm>, ids: &RowIds) -> Result<ItemVectors, String> {
    let file = ImportFile {
        path: folder.to_owned(),
        part: Some("context".to_owned()),
    };
    let readers = Readers {
        to_csv: &|_| panic!("no Parquet file is here"),
        norm,
    };
    super::super::import(
        &[file],
        ids,
        &VectorsForm::default(),
        None,
        &truncate,
        &readers,
    )
    .map_err(|error| error.to_string())
}

#[test]
fn hidden_states_of_a_folder_are_normalised_and_averaged() {
    let lab = tempfile::tempdir().unwrap();
    let folder = lab.path().join("states");
    std::fs::create_dir(&folder).unwrap();
    let norm = FinalNorm::read(&model(lab.path()), None).unwrap();
    assert_eq!((&norm.weight[..], norm.eps), (&[2.0, 0.5][..], 0.5));
    // Two layers, of which the last counts: tokens (1, 1) and (3, -1).
    let two = [9.0, 9.0, 1.0, 1.0, 9.0, 9.0, 3.0, -1.0];
    states(&folder.join("b.safetensors"), 2, &[2, 2, 2], &two);
    states(&folder.join("a.safetensors"), 1, &[1, 2], &[1.0, 1.0]);
    std::fs::write(folder.join("a.safetensors.lock"), "").unwrap();
    let own = RowIds::Own { column: None };
    let vectors = of_folder(&folder, Some(&norm), &own).unwrap();
    assert_eq!(vectors.items, ["a", "b"]);
    // Python: w * h / sqrt(mean(h**2) + 0.5), for (1, 1) [1.63299316, 0.40824829], for (3, -1) [2.55841..., -0.21320...].
    let values = &vectors.part("context").unwrap().values;
    let root = |squares: f64| (squares + 0.5).sqrt();
    let expected = [
        2.0 / root(1.0),
        0.5 / root(1.0),
        (2.0 / root(1.0) + 6.0 / root(5.0)) / 2.0,
        (0.5 / root(1.0) - 0.5 / root(5.0)) / 2.0,
    ];
    for (value, expected) in values.iter().zip(expected) {
        assert!((f64::from(*value) - expected).abs() < 1e-6, "{values:?}");
    }
    assert_eq!(vectors.provenance["norm"]["eps"], 0.5);

    let message = of_folder(&folder, None, &own).unwrap_err();
    assert!(
        message.contains("name the model's file that has it with --norm FILE"),
        "{message}"
    );
    let message = of_folder(&folder, Some(&norm), &super::ids(2)).unwrap_err();
    assert!(message.contains("names its items itself"), "{message}");
    states(&folder.join("c.safetensors"), 1, &[1, 3], &[1.0; 3]);
    let message = of_folder(&folder, Some(&norm), &own).unwrap_err();
    assert!(
        message.contains("c.safetensors") && message.contains("is 3 wide"),
        "{message}"
    );
    states(&folder.join("c.safetensors"), 2, &[1, 2], &[1.0; 2]);
    let message = of_folder(&folder, Some(&norm), &own).unwrap_err();
    assert!(message.contains("`token_ids` of shape [2]"), "{message}");
    states(&folder.join("c.safetensors"), 1, &[1, 2], &[1.0, f32::NAN]);
    let message = of_folder(&folder, Some(&norm), &own).unwrap_err();
    assert!(message.contains("not finite, at token 0"), "{message}");
    std::fs::write(folder.join("c.txt"), "").unwrap();
    let message = of_folder(&folder, Some(&norm), &own).unwrap_err();
    assert!(
        message.contains("has only files `ID.safetensors`"),
        "{message}"
    );
}

#[test]
fn a_norm_that_is_not_the_models_is_refused() {
    let lab = tempfile::tempdir().unwrap();
    let path = model(lab.path());
    let told = |eps| FinalNorm::read(&path, eps).unwrap_err().to_string();
    std::fs::write(
        lab.path().join("config.json"),
        "{\"model_type\": \"gemma2\"}",
    )
    .unwrap();
    assert!(told(None).contains("scales by 1 + weight"));
    std::fs::remove_file(lab.path().join("config.json")).unwrap();
    assert!(told(None).contains("give the number with --norm-eps"));
    assert!(told(Some(-1.0)).contains("at least 0"));
    assert_eq!(FinalNorm::read(&path, Some(1e-6)).unwrap().eps, 1e-6);
    let bias = f32s(&[0.0]);
    tensors(&path, &[("norm.bias", Dtype::F32, &[1], bias.clone())]);
    assert!(told(Some(0.0)).contains("is no RMS norm"));
    tensors(&path, &[("x", Dtype::F32, &[1], bias)]);
    assert!(told(Some(0.0)).contains("has no tensor `model.norm.weight`"));
    std::fs::write(&path, "x").unwrap();
    assert!(FinalNorm::read(&path, Some(0.0)).is_err());
}
