//! scratch
use genair_archetype::*;
use genair_data::*;
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut inst = Installation::new("/work/scratch/cache-core".into());
    inst.llama = "/work/target-d/release/genair-llama".into();
    inst.encoder = "/work/target-e/release/genair-encoder".into();
    let spec: ArchetypeSpec = toml::from_str(&std::fs::read_to_string(&args[0])?)?;
    for m in spec.local_models() {
        if !m.contains('/') {
            println!(
                "{:?}",
                models::fetch(m, None, &inst, &mut |p| println!("{p:?}"))?
            );
        }
    }
    let ds = DatasetSpec {
        path: Some("/work/shared/data/ml-100k".into()),
        ..DatasetSpec::default()
    };
    let mut cat = catalogue(&ds)?;
    let n: usize = args[1].parse()?;
    cat.items.truncate(n);
    println!("{:?}", prompt(&cat.items[0].metadata, &spec, &inst)?);
    println!(
        "{:?}",
        tokens(
            &prompt(&cat.items[0].metadata, &spec, &inst)?.unwrap_or_default(),
            &spec,
            &inst
        )?
    );
    println!("recipe {}", recipe_sha256(&cat, &spec, &inst)?);
    let t = std::time::Instant::now();
    let g = generate(
        &cat,
        &spec,
        &inst,
        &mut |p| println!("{:?} {p:?}", t.elapsed()),
        &|| false,
    )?;
    println!("{:?} {:?}", t.elapsed(), g.counts);
    for i in g.items.iter().take(6) {
        let r = i.record.as_ref();
        println!(
            "{} {:?}",
            i.item,
            r.map(|r| (
                &r.text,
                r.prompt_tokens,
                r.new_tokens,
                r.ended,
                r.context.len(),
                r.archetype.as_ref().map(|a| a.len())
            ))
        );
    }
    export_archetypes(&g, std::path::Path::new(&args[2]))?;
    Ok(())
}
