//! What Vercel gets: `vercel build` without an account, its output compared with what we
//! mean to deploy, and the functions in it run.

mod output;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::steps::{Step, run, run_watched};
use super::{Error, flow, root, tools, tree};

/// Without the override npm finds no set of versions.
const CLI: &str =
    r#"{"private":true,"dependencies":{"vercel":"64.0.2"},"overrides":{"sandbox":"4.5.0"}}"#;

/// `vercel build` links against the glibc of Vercel's machines with these.
const LINKER: [&str; 2] = ["cargo-zigbuild==0.24.0", "ziglang==0.17.0"];

/// A project that exists nowhere: enough for a build that asks nobody.
const PROJECT: &str =
    r#"{"projectId":"prj_local","orgId":"team_local","settings":{"framework":null}}"#;

/// Builds, looks, runs.
pub fn verify() -> Result<(), Error> {
    let cli = tools::npm("vercel", CLI)?;
    let linker = tools::python("zigbuild", &LINKER)?;
    let work = root().join("target/verify/vercel");
    let project = work.join("project");
    build(&project, &cli.join("vercel"), &linker)?;

    let step = Step::begin("the output");
    let found = output::read(&project)?;
    let functions = work.join("functions");
    let _ = fs::remove_dir_all(&functions);
    fs::create_dir_all(&functions)?;
    for function in &found.functions {
        symlink(&function.executable, functions.join(&function.name))?;
    }
    step.done(&found.to_string());

    flow::drive(&functions, "flow::two_users_go_the_whole_way_on_vercel")
}

fn build(project: &Path, cli: &Path, linker: &Path) -> Result<(), Error> {
    let files = tree::copy(project, ".vercel")?;
    compile(project, linker)?;
    let step = Step::begin("vercel build");
    let link = project.join(".vercel");
    let _ = fs::remove_dir_all(&link);
    fs::create_dir_all(&link)?;
    fs::write(link.join("project.json"), PROJECT)?;
    let functions = link.join("output/functions");
    let built = || {
        let count = tree::below(&functions).map_or(0, |files| files.len());
        format!("functions built: {count}")
    };
    let mut command = tool(cli, project, linker)?;
    command
        .args(["build", "--prod", "--token", "none", "--yes"])
        .env("VERCEL_TELEMETRY_DISABLED", "1")
        // Set on Vercel's machines, where there is no need of another linker.
        .env_remove("VERCEL_BUILD_IMAGE");
    run_watched(&mut command, built)?;
    step.done(&format!("from {files} files"));
    Ok(())
}

/// Compiles every function at once with the command that Vercel's builder gives for one
/// after the other, which then finds them done: each is linked by one core.
fn compile(project: &Path, linker: &Path) -> Result<(), Error> {
    let target = match std::env::consts::ARCH {
        "aarch64" => "aarch64-unknown-linux-gnu",
        _ => "x86_64-unknown-linux-gnu",
    };
    let step = Step::begin("cargo zigbuild (minutes, the first time)");
    let arguments = ["zigbuild", "--target", target, "--package", "grantkeep"];
    run(tool(Path::new("cargo"), project, linker)?
        .args(arguments)
        .args(["--bins", "--quiet", "--release"]))?;
    step.done("compiled");
    Ok(())
}

fn tool(program: &Path, project: &Path, linker: &Path) -> Result<Command, Error> {
    let mut command = Command::new(program);
    command
        .current_dir(project)
        .env("PATH", tools::path_with(&[linker])?)
        // Of its own, because other tools move what they built.
        .env("CARGO_TARGET_DIR", root().join("target/vercel"))
        // As the builder sets it.
        .env("RUSTFLAGS", "");
    Ok(command)
}
