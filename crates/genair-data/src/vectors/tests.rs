use proptest::prelude::*;

use super::*;
use crate::{Interaction, Interactions};
use genair_protocol::DatasetSpec;

fn vectors() -> ItemVectors {
    let part = |name: &str, width: usize, values: &[f32]| PartVectors {
        name: name.to_owned(),
        width,
        values: values.to_vec(),
    };
    let provenance = serde_json::json!({"model": "tiny", "components": 2});
    ItemVectors {
        items: ["b", "a", "spare"].map(str::to_owned).to_vec(),
        // Not in the order of their names: concatenation is as listed.
        parts: vec![
            part("context", 2, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            part("archetype", 1, &[-1.0, -2.0, -3.0]),
        ],
        groups: None,
        provenance: provenance.as_object().unwrap().clone(),
    }
}

/// One user who met items in this order.
fn dataset(items: &[&str]) -> Dataset {
    let mut interactions = Interactions::default();
    interactions.users.insert("u".to_owned());
    for (time, item) in items.iter().enumerate() {
        let item = interactions.items.insert_full((*item).to_owned()).0 as u32;
        interactions.rows.push(Interaction {
            user: 0,
            item,
            time: time as f64,
        });
    }
    Dataset::new(interactions, &DatasetSpec::default()).unwrap()
}

#[test]
fn a_file_comes_back_whole_and_alone_in_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors/one.safetensors");
    let sha256 = vectors().write(&path).unwrap();
    assert_eq!(sha256, genair_files::sha256_of_file(&path).unwrap());
    assert_eq!(ItemVectors::read(&path).unwrap(), vectors());
    assert_eq!(vectors().write(&path).unwrap(), sha256);
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(files, 1);
}

#[test]
fn rows_follow_raw_ids() {
    let dataset = dataset(&["a", "b", "a"]);
    let (width, table) = vectors().rows_for(&dataset, None).unwrap();
    assert_eq!(width, 3);
    assert_eq!(table, [0.0, 0.0, 0.0, 3.0, 4.0, -2.0, 1.0, 2.0, -1.0]);
    let (width, table) = vectors().rows_for(&dataset, Some("archetype")).unwrap();
    assert_eq!((width, table), (1, vec![0.0, -2.0, -1.0]));
}

#[test]
fn missing_items_and_parts_are_named() {
    let told = |items: &[&str], part| {
        let error = vectors().rows_for(&dataset(items), part).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        told(&["a", "x", "y"], None),
        "2 of the dataset's 3 items have no vector, the first is `x`; make the vectors from the same source"
    );
    assert_eq!(
        told(&["a", "b", "a"], Some("text")),
        "there is no part `text`; the file has context, archetype"
    );
}

#[test]
fn what_cannot_be_vectors_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.safetensors");
    let refused = |change: fn(&mut ItemVectors), expected: &str| {
        let mut vectors = vectors();
        change(&mut vectors);
        match vectors.write(&path) {
            Err(VectorsError::Content { problem, .. }) => {
                assert_eq!(problem.to_string(), expected);
            }
            other => panic!("{other:?}"),
        }
    };
    refused(
        |vectors| vectors.parts[0].values[3] = f32::NAN,
        "part `context` of item `a` holds NaN at component 1; every value must be finite",
    );
    refused(
        |vectors| vectors.items[2] = "b".to_owned(),
        "item `b` has rows 0 and 2; remove one of the two",
    );
    refused(
        |vectors| vectors.items[1].clear(),
        "the id of row 1 is empty; rows count from 0",
    );
    refused(
        |vectors| vectors.parts[1].name = "context".to_owned(),
        "there are two parts `context`",
    );
    refused(
        |vectors| vectors.parts[1].values.truncate(2),
        "part `archetype` holds 2 values, not 3 items times 1",
    );
    refused(|vectors| vectors.parts.clear(), "there are no parts");
    refused(|vectors| vectors.items.clear(), "there are no items");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.safetensors");
    assert!(matches!(
        ItemVectors::read(&path),
        Err(VectorsError::File(_))
    ));
    let weights = vec![0; 8];
    let view = TensorView::new(Dtype::F32, vec![2, 1], &weights).unwrap();
    let other = safetensors::serialize([("weight", view)], None).unwrap();
    let mut cut = vectors().to_bytes().unwrap();
    cut.pop();
    for (bytes, reason) in [
        (other, "its metadata has no key `genair`"),
        (cut, "Incomplete"),
        (b"text".to_vec(), "header"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        match ItemVectors::read(&path) {
            Err(VectorsError::Content { problem, .. }) => {
                let told = problem.to_string().to_lowercase();
                assert!(told.contains(&reason.to_lowercase()), "{told}");
            }
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn any_ids_and_values_survive(
        ids in proptest::collection::btree_set(".{1,8}", 1..6),
        width in 1usize..4,
        value in -1e30f32..1e30,
    ) {
        let items: Vec<String> = ids.into_iter().collect();
        let values = (0..items.len() * width).map(|place| value / (place + 1) as f32).collect();
        let part = PartVectors { name: "text".to_owned(), width, values };
        let vectors = ItemVectors { items, parts: vec![part], groups: None, provenance: Map::new() };
        let bytes = vectors.to_bytes().unwrap();
        prop_assert_eq!(ItemVectors::from_bytes(&bytes).unwrap(), vectors);
    }
}
