//! `genair archetype export-prompts` and `import-answers`: the answers of a server by a batch.

use std::path::Path;

use genair_archetype::Installation;
use genair_protocol::text::count;
use genair_runner::StageProgress;
use serde_json::json;

use super::job;
use crate::args::ArchetypeArgs;
use crate::exit::Exit;
use crate::generation::GenerationBar;
use crate::output::Output;
use crate::output_path::may_write;

pub(super) fn export_prompts(
    output: &Output,
    of: &ArchetypeArgs,
    out: &Path,
) -> anyhow::Result<Exit> {
    let job = job(of)?;
    may_write(out, &[&of.spec])?;
    let installation = Installation::new(of.cache.path());
    let catalogue = genair_runner::catalogue(&job.data, &installation.cache)?;
    let told = genair_archetype::export_prompts(&catalogue, &job.settings, &installation, out)?;
    if told.without_metadata > 0 {
        let items = count(told.without_metadata, "item");
        output.note(format!("{items} without metadata: no prompt"));
    }
    let value = json!({
        "file": out, "prompts": told.prompts, "answered": told.answered,
        "without_metadata": told.without_metadata,
    });
    output.show(&value, || {
        let (file, prompts) = (out.display(), count(told.prompts, "prompt"));
        let answered = told.answered;
        format!("{file}: {prompts}; the cache has the answers of {answered} more")
    })
}

pub(super) fn import_answers(
    output: &Output,
    of: &ArchetypeArgs,
    answers: &Path,
) -> anyhow::Result<Exit> {
    let job = job(of)?;
    let installation = Installation::new(of.cache.path());
    let catalogue = genair_runner::catalogue(&job.data, &installation.cache)?;
    let mut bar = GenerationBar::new(output.clone(), format!("answers of {}", job.dataset));
    let told = genair_archetype::import_answers(
        &catalogue,
        &job.settings,
        &installation,
        answers,
        &mut |news| bar.show(&StageProgress::Generating(news)),
        &|| false,
    )?;
    let shown = answers.display();
    if let Some(first) = &told.first_failure {
        let failed = count(told.failed, "request");
        output.note(format!(
            "warning: {shown}: {failed} failed; the first one, {first}"
        ));
    }
    if told.strange > 0 {
        let lines = count(told.strange, "line");
        output.note(format!(
            "warning: {shown}: {lines} of other prompts or settings, left out; if the spec changed, export the \
             prompts again"
        ));
    }
    if told.missing > 0 {
        let prompts = count(told.missing, "prompt");
        output.note(format!(
            "{prompts} without an answer; `genair archetype export-prompts` writes them, and `generate` asks the server"
        ));
    }
    output.show(&told, || {
        let (kept, known) = (count(told.kept, "answer"), told.known);
        format!("{kept} kept, {known} known before")
    })
}
