use std::io::Write;

use half::f16;
use npyz::WriterBuilder;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use tempfile::TempDir;

use super::*;
use crate::pca::truncate;

/// Without a program that reads Parquet, and without a norm.
fn import(
    files: &[ImportFile],
    ids: &RowIds,
    components: usize,
    reduce: &Reduce<'_>,
) -> Result<ItemVectors, ImportError> {
    let readers = Readers {
        to_csv: &|_| panic!("no Parquet file is here"),
        norm: None,
    };
    super::import(
        files,
        ids,
        &VectorsForm::components(components),
        None,
        reduce,
        &readers,
    )
}

fn npy<T: npyz::AutoSerialize>(shape: &[u64], order: npyz::Order, values: Vec<T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::new()
        .default_dtype()
        .shape(shape)
        .order(order)
        .writer(&mut bytes)
        .begin_nd()
        .unwrap();
    writer.extend(values).unwrap();
    writer.finish().unwrap();
    bytes
}

fn npz(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A file in a folder of its own.
fn file(name: &str, bytes: impl AsRef<[u8]>) -> (TempDir, ImportFile) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (folder, ImportFile { path, part: None })
}

fn ids(count: usize) -> RowIds {
    RowIds::Catalogue((0..count).map(|id| format!("i{id}")).collect())
}

#[track_caller]
fn imported(name: &str, bytes: impl AsRef<[u8]>) -> ItemVectors {
    let (_folder, file) = file(name, bytes);
    import(&[file], &ids(2), 0, &truncate).unwrap()
}

#[track_caller]
fn refused(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let (_folder, file) = file(name, bytes);
    import(&[file], &ids(2), 0, &truncate)
        .unwrap_err()
        .to_string()
}

const VALUES: [f32; 6] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.5];

#[test]
fn every_width_of_number_and_order_of_memory_gives_the_same_rows() {
    let c = npyz::Order::C;
    let transposed = [0.0, 3.0, 1.0, 4.0, 2.0, 5.5];
    for bytes in [
        npy(&[2, 3], c, VALUES.map(f16::from_f32).to_vec()),
        npy(&[2, 3], c, VALUES.to_vec()),
        npy(&[2, 3], c, VALUES.map(f64::from).to_vec()),
        npy(&[2, 3], npyz::Order::Fortran, transposed.to_vec()),
    ] {
        let vectors = imported("x.npy", bytes);
        assert_eq!(vectors.items, ["i0", "i1"]);
        let part = vectors.part("vectors").unwrap();
        assert_eq!((part.width, &part.values[..]), (3, &VALUES[..]));
    }
}

#[test]
fn several_arrays_are_parts_in_the_papers_order() {
    let array = || npy(&[2, 1], npyz::Order::C, vec![1.0_f32, 2.0]);
    let bytes =
        npz(&["archetype.npy", "other.npy", "context.npy", "a.npy"].map(|name| (name, array())));
    let names = |vectors: &ItemVectors| -> Vec<String> {
        vectors.parts.iter().map(|part| part.name.clone()).collect()
    };
    assert_eq!(
        names(&imported("x.npz", &bytes)),
        ["context", "archetype", "a", "other"]
    );

    let (_folder, mut one) = file("x.npz", &bytes);
    one.part = Some("a".to_owned());
    assert_eq!(
        names(&import(&[one.clone()], &ids(2), 0, &truncate).unwrap()),
        ["a"]
    );
    one.part = Some("b".to_owned());
    let error = import(&[one], &ids(2), 0, &truncate)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("`b` is not there; the file has context, archetype, a, other"),
        "{error}"
    );
}

#[test]
fn files_are_parts_under_the_names_they_are_given() {
    let (_one, mut context) = file("c.npy", npy(&[2, 1], npyz::Order::C, vec![1.0_f32, 2.0]));
    let (_two, mut archetype) = file(
        "a.npy",
        npy(&[2, 2], npyz::Order::C, vec![1.0_f32, 2.0, 5.0, 2.0]),
    );
    context.part = Some("context".to_owned());
    archetype.part = Some("archetype".to_owned());
    let vectors = import(&[context, archetype], &ids(2), 1, &truncate).unwrap();
    assert_eq!(vectors.part("context").unwrap().values, [1.0, 2.0]);
    assert_eq!(vectors.part("archetype").unwrap().values, [1.0, 5.0]);
    assert_eq!(vectors.provenance["parts"][1]["pca"]["rank"], 1);
    assert_eq!(vectors.provenance["imported"][0]["file"], "c.npy");
}

#[test]
fn zero_rows_take_no_part_in_the_fit() {
    let (_folder, x) = file(
        "x.npy",
        npy(&[3, 1], npyz::Order::C, vec![5.0_f32, 0.0, 7.0]),
    );
    let vectors = import(&[x], &ids(3), 1, &truncate).unwrap();
    assert_eq!(vectors.parts[0].values, [5.0, 0.0, 7.0]);
    assert_eq!(vectors.provenance["parts"][0]["vectors"], 2);
}

#[test]
fn safetensors_of_others_and_of_this_project() {
    let bf16: Vec<u8> = VALUES
        .iter()
        .flat_map(|&value| half::bf16::from_f32(value).to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::BF16, vec![2, 3], &bf16).unwrap();
    let other = safetensors::serialize([("emb", view)], None).unwrap();
    assert_eq!(
        imported("x.safetensors", other).part("emb").unwrap().values,
        VALUES
    );

    let (_folder, own) = file("own.safetensors", "");
    let mut vectors = imported("x.npy", npy(&[2, 3], npyz::Order::C, VALUES.to_vec()));
    vectors.items = vec!["y".to_owned(), "x".to_owned()];
    vectors.write(&own.path).unwrap();
    assert_eq!(
        import(std::slice::from_ref(&own), &ids(7), 0, &truncate).unwrap(),
        vectors
    );
    let listed = RowIds::Listed {
        path: "ids.txt".into(),
        ids: vectors.items,
    };
    let error = import(&[own], &listed, 0, &truncate).unwrap_err();
    assert!(matches!(error, ImportError::OwnIds { .. }), "{error}");
}

#[test]
fn a_pickle_is_refused_with_the_command_that_converts_it() {
    let told = refused("itm_emb.pkl", [0x80, 4, 0x95]);
    assert!(
        told.contains("pickle.load(open('")
            && told.contains("itm_emb.npy', numpy.asarray(list(x.values())"),
        "{told}"
    );
    assert!(refused("renamed.npy", [0x80, 4, 0x95]).contains("pickle"));
    let told = refused("emb.pt", b"PK\x03\x04");
    assert!(told.contains("torch.load("), "{told}");
}

#[test]
fn wrong_row_counts_say_both_numbers_and_what_the_surplus_may_be() {
    let rows = |values: &[f32]| npy(&[values.len() as u64, 1], npyz::Order::C, values.to_vec());
    let told = refused("x.npy", rows(&[0.0, 1.0, 2.0]));
    assert!(
        told.contains("3 rows and there are 2 items in the dataset's catalogue"),
        "{told}"
    );
    assert!(told.contains("numpy.delete(x, [0], axis=0)"), "{told}");
    // The published code's table: zeros before the last item.
    assert!(
        refused("x.npy", rows(&[1.0, 0.0, 2.0, 0.0])).contains("numpy.delete(x, [1, 3], axis=0)")
    );
    assert!(refused("x.npy", rows(&[1.0, 3.0, 2.0])).contains("first row for padding"));
    assert!(refused("x.npy", rows(&[1.0])).contains("list with the id of each row"));
}

#[test]
fn what_is_no_table_of_finite_numbers_is_refused() {
    let c = npyz::Order::C;
    for (bytes, expected) in [
        (npy(&[2], c, vec![1.0_f32, 2.0]), "is of shape [2]"),
        (npy(&[2, 1], c, vec![1_i64, 2]), "holds `<i8`; convert it"),
        (npy(&[2, 0], c, Vec::<f32>::new()), "is of shape [2, 0]"),
        (
            npy(&[2, 1], c, vec![1.0, f32::INFINITY]),
            "item `i1` holds inf",
        ),
        (npy(&[2, 1], c, vec![1e300, 1.0_f64]), "item `i0` holds inf"),
        (
            b"1,2\n3,4\n".to_vec(),
            "write a .npy, .npz, .safetensors, .csv or .parquet file",
        ),
    ] {
        let told = refused("x.npy", bytes);
        assert!(told.contains(expected), "{told}");
    }
    let mut cut = npy(&[2, 3], c, VALUES.to_vec());
    cut.truncate(cut.len() - 1);
    let told = refused("x.npy", cut);
    assert!(
        told.ends_with(
            "is of shape [2, 3], which takes 24 bytes of `<f4`, but 23 bytes follow its header"
        ),
        "{told}"
    );
}

/// A .npy file of 24 bytes of numbers with a description that may lie.
fn described(description: &str) -> Vec<u8> {
    let length = (description.len() as u16).to_le_bytes();
    let head = [&b"\x93NUMPY\x01\x00"[..], &length, description.as_bytes()].concat();
    [head, vec![0; 24]].concat()
}

#[test]
fn a_header_that_lies_about_sizes_is_refused_before_anything_is_allocated() {
    let most = u64::MAX;
    for shape in [
        format!("({most}, 3)"),
        format!("(2, {most})"),
        format!("({most}, {most})"),
        format!("({}, 4)", 1_u64 << 62),
        format!("({}, 4)", 1_u64 << 32),
        format!("(0, {most}, {most})"),
        format!("({most}{most}, 3)"),
        "(-2, 3)".to_owned(),
        "(2, 3.0)".to_owned(),
        "(2, 65537)".to_owned(),
        "(2, 4)".to_owned(),
        "(19, 3)".to_owned(),
        "2".to_owned(),
        format!("({})", "2, ".repeat(3_000)),
    ] {
        for form in ["'<f4'", "'<f8'", "'>f2'", "'<f99999999999999999999'"] {
            let text = format!("{{'descr': {form}, 'fortran_order': False, 'shape': {shape}, }}\n");
            let whole = described(&text);
            let told = refused("x.npy", &whole);
            assert!(told.contains("x.npy`"), "{told}");
            if form == "'<f4'" && shape.ends_with(", 3)") && !shape.starts_with("(-") {
                assert!(
                    told.contains("of shape") || told.contains("does not describe"),
                    "{told}"
                );
            }
            let told = refused("x.npz", npz(&[("context.npy", whole)]));
            assert!(told.contains("x.npz`"), "{told}");
        }
    }
    let told = refused(
        "x.npy",
        described(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }\n",
        ),
    );
    assert!(
        told.contains("is of shape [4611686018427387904, 4], and there are 2 items"),
        "{told}"
    );
}

#[test]
fn a_header_that_is_none_is_refused_in_time() {
    let nested = |open: &str, close: &str| {
        let shape = format!("{}2, 3{}", open.repeat(1_000), close.repeat(1_000));
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n")
    };
    for description in [
        nested("(", ")"),
        nested("[", "]"),
        nested("{1: ", "}"),
        "[".repeat(9_999),
        "'\\N{".to_owned(),
        "{'descr': '<f4'}".to_owned(),
        String::new(),
    ] {
        let told = refused("x.npy", described(&description));
        assert!(told.contains("cannot be read as vectors"), "{told}");
    }
    // A version whose header may have 4 GiB, and says so.
    let mut large = described("{}");
    large.splice(6..10, [2, 0, 255, 255, 255, 255]);
    let told = refused("x.npy", large);
    assert!(told.contains("its header of 4294967295 bytes"), "{told}");
    let mut newer = described("{}");
    newer[6] = 9;
    assert!(refused("x.npy", newer).contains("version 9"));
}

#[test]
fn archives_and_tensors_that_lie_are_refused() {
    // Compressed, a gigabyte of zeros is a megabyte: the header is judged before they are unpacked.
    let array = |rows: u64, width: u64| {
        let description =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}\n");
        let mut bytes = described(&description);
        bytes.resize(bytes.len() - 24 + (rows * width * 4) as usize, 0);
        bytes
    };
    let told = refused("x.npz", npz(&[("context.npy", array(50_000, 200))]));
    assert!(told.contains("is of shape [50000, 200]"), "{told}");
    let names: Vec<String> = (0..65).map(|n| format!("a{n}.npy")).collect();
    let many: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), array(2, 1)))
        .collect();
    let told = refused("x.npz", npz(&many));
    assert!(told.contains("65 arrays, and at most 64"), "{told}");

    let header = |json: &str| {
        let length = (json.len() as u64).to_le_bytes();
        [&length[..], json.as_bytes(), &[0; 24]].concat()
    };
    let tensor = |shape: &str, end: &str| {
        header(&format!(
            "{{\"context\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{end}]}}}}"
        ))
    };
    let most = u64::MAX;
    for bytes in [
        tensor("[4611686018427387904, 4]", "24"),
        tensor(&format!("[{most}, {most}]"), "24"),
        tensor(&format!("[0, {most}]"), "0"),
        tensor("[2, 3]", &most.to_string()),
        tensor("[2, 3]", "25"),
        tensor("[6]", "24"),
        tensor("[]", "4"),
        header(&"[".repeat(1_000)),
        [&most.to_le_bytes()[..], b"{}"].concat(),
        [&[8; 8][..], b"{}"].concat(),
        Vec::new(),
    ] {
        let told = refused("x.safetensors", bytes);
        assert!(told.contains("x.safetensors`"), "{told}");
    }
    let own = header("{\"__metadata__\":{\"genair\":\"{}\"}}");
    assert!(refused("x.safetensors", own).contains("x.safetensors"));
}

#[test]
fn only_regular_files_are_imported() {
    let zero = ImportFile {
        path: "/dev/zero".into(),
        part: None,
    };
    for error in [
        import(std::slice::from_ref(&zero), &ids(2), 0, &truncate).unwrap_err(),
        import_sha256(
            std::slice::from_ref(&zero),
            &ids(2),
            &VectorsForm::components(0),
            None,
        )
        .unwrap_err(),
        RowIds::read(&zero.path).unwrap_err(),
    ] {
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "it is a device; only regular files are read");
    }
}

#[test]
fn a_part_that_no_spec_can_ask_for_is_refused() {
    let array = || npy(&[2, 1], npyz::Order::C, vec![1.0_f32, 2.0]);
    let (_folder, mut x) = file("x.npy", array());
    x.part = Some("contxt".to_owned());
    let told = import(&[x], &ids(2), 0, &truncate).unwrap_err().to_string();
    assert!(
        told.ends_with(
            "there is no part `contxt`; an array becomes one of context, archetype, text, vectors"
        ),
        "{told}"
    );
    let (_folder, mut x) = file("x.npz", npz(&[("own.npy", array())]));
    x.part = Some("own".to_owned());
    assert_eq!(
        import(&[x.clone()], &ids(2), 0, &truncate).unwrap().parts[0].name,
        "own"
    );
    x.part = Some("other".to_owned());
    let told = import(&[x.clone()], &ids(2), 0, &truncate)
        .unwrap_err()
        .to_string();
    assert!(told.ends_with("or keeps its own name"), "{told}");
    x.part = Some("context".to_owned());
    assert_eq!(
        import(&[x], &ids(2), 0, &truncate).unwrap().parts[0].name,
        "context"
    );
}

#[test]
fn ids_are_lines_or_a_json_list() {
    let read = |text: &str| {
        let (_folder, list) = file("ids", text);
        RowIds::read(&list.path)
            .map(|ids| ids.ids().unwrap_or_default().to_vec())
            .map_err(|error| error.to_string())
    };
    assert_eq!(read("a b\n 7\n").unwrap(), ["a b", " 7"]);
    assert_eq!(read("[\"a\", 7]\n").unwrap(), ["a", "7"]);
    assert!(
        read("a\n\nb\n")
            .unwrap_err()
            .contains("line 2: the id is empty")
    );
    assert!(
        read("[\"a\", 7.5]")
            .unwrap_err()
            .contains("line 2: 7.5 is no id")
    );
    assert!(read("[\"a\"").unwrap_err().contains("not a JSON list"));
}

#[test]
fn repeated_ids_are_refused() {
    let (_folder, x) = file("x.npy", npy(&[2, 1], npyz::Order::C, vec![1.0_f32, 2.0]));
    let twice = RowIds::Catalogue(vec!["a".to_owned(), "a".to_owned()]);
    let error = import(&[x], &twice, 0, &truncate).unwrap_err().to_string();
    assert_eq!(error, "item `a` has rows 0 and 1; remove one of the two");
}

#[test]
fn a_recipe_changes_with_everything_that_decides_the_vectors() {
    let (_one, x) = file("x.npy", "1");
    let (_two, y) = file("x.npy", "2");
    let named = ImportFile {
        part: Some("context".to_owned()),
        ..x.clone()
    };
    let sha256 = |file: &ImportFile, ids, components| {
        import_sha256(
            std::slice::from_ref(file),
            &ids,
            &VectorsForm::components(components),
            None,
        )
        .unwrap()
    };
    let hashes = [
        sha256(&x, ids(2), 0),
        sha256(&y, ids(2), 0),
        sha256(&named, ids(2), 0),
        sha256(&x, ids(3), 0),
        sha256(&x, ids(2), 1),
    ];
    let different: std::collections::HashSet<_> = hashes.iter().collect();
    assert_eq!(different.len(), hashes.len());
    assert_eq!(hashes[0], sha256(&x, ids(2), 0));
}

mod own_ids;
