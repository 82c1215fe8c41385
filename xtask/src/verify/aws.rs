//! AWS: the template is valid, `sam build` makes every function of it, and what it made
//! works behind Lambda's Runtime API.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::steps::{Step, run};
use super::{Error, flow, root, tools};

const PACKAGES: [&str; 4] = [
    "aws-sam-cli==1.170.0",
    "cargo-lambda==1.9.2",
    "cfn-lint==1.58.0",
    "ziglang==0.17.0",
];

/// Builds for this machine's architecture, as no other could be run here, and drives the
/// flow through it.
pub fn verify() -> Result<(), Error> {
    let path = prepare()?;
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "x86_64",
        other => return Err(format!("Lambda has no {other}").into()),
    };
    let built = build(&path, architecture)?;
    let folder = root().join("target/aws/functions");
    fs::create_dir_all(&folder)?;
    for (name, bootstrap) in &built {
        let link = folder.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        symlink(bootstrap, link)?;
    }
    flow::drive(&folder, "flow::two_users_go_the_whole_way_on_lambda")
}

/// Builds what is deployed unless told otherwise: arm64.
pub fn verify_arm64() -> Result<(), Error> {
    let path = prepare()?;
    build(&path, "arm64").map(|_| ())
}

/// Installs the tools and lets them judge the template; the `PATH` that has them.
fn prepare() -> Result<OsString, Error> {
    let programs = tools::python("aws", &PACKAGES)?;
    let path = tools::path_with(&[&programs])?;
    let judges: [(&str, &[&str]); 2] = [
        ("sam", &["validate", "--lint"]),
        ("cfn-lint", &["template.yaml"]),
    ];
    for (program, arguments) in judges {
        let step = Step::begin(format!("{program} {}", arguments.join(" ")));
        run(tool(&programs.join(program), &path).args(arguments))?;
        step.done("nothing to complain about");
    }
    Ok(path)
}

/// One of the tools, which needs no account for what we ask of it.
fn tool(program: &Path, path: &OsString) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(root())
        .env("PATH", path)
        .env("SAM_CLI_TELEMETRY", "0")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("CARGO_TARGET_DIR", root().join("target/aws"))
        .stdin(Stdio::null());
    command
}

/// `sam build`; every function's bootstrap by the name of its binary.
///
/// Not into `.aws-sam`: `sam deploy` would deploy what it finds there, for whichever
/// architecture it is.
fn build(path: &OsString, architecture: &str) -> Result<BTreeMap<String, PathBuf>, Error> {
    compile(path, architecture)?;
    let folder = root().join("target/aws/sam").join(architecture);
    let step = Step::begin(format!("sam build, {architecture}"));
    let status = tool(Path::new("sam"), path)
        .args(["build", "--parameter-overrides"])
        .arg(format!("Architecture={architecture}"))
        .arg("--build-dir")
        .arg(&folder)
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("cannot start sam: {error}"))?;
    if !status.success() {
        return Err(format!("sam build failed ({status}); above is why").into());
    }

    let mut built = BTreeMap::new();
    let mut bytes = 0;
    for (resource, binary) in functions(&fs::read_to_string(root().join("template.yaml"))?) {
        let bootstrap = only_file(&folder.join(&resource))?;
        bytes += check(&bootstrap, architecture)?;
        built.insert(binary, bootstrap);
    }
    if built.is_empty() {
        return Err("template.yaml names no binary".into());
    }
    let megabytes = bytes as f64 / 1e6;
    step.done(&format!("{} functions, {megabytes:.1} MB", built.len()));
    Ok(built)
}

/// Compiles every function at once with the command that `sam build` gives for one after the
/// other, which then finds them done: each is linked by one core.
fn compile(path: &OsString, architecture: &str) -> Result<(), Error> {
    let step = Step::begin(format!(
        "cargo lambda build, {architecture} (minutes, the first time)"
    ));
    let mut command = tool(Path::new("cargo"), path);
    command.args(["lambda", "build", "--release"]);
    if architecture == "arm64" {
        command.arg("--arm64");
    }
    run(&mut command)?;
    step.done("compiled");
    Ok(())
}

/// The template's functions with their binaries. Resources are indented by two, as
/// everywhere in that file.
fn functions(template: &str) -> Vec<(String, String)> {
    let mut resource = "";
    let mut found = Vec::new();
    for line in template.lines() {
        let key = line
            .strip_prefix("  ")
            .and_then(|key| key.strip_suffix(':'));
        if let Some(key) = key.filter(|key| !key.starts_with(' ')) {
            resource = key;
        }
        if let Some(binary) = line.trim().strip_prefix("Binary: ") {
            found.push((resource.to_owned(), binary.to_owned()));
        }
    }
    found
}

/// `bootstrap`, if it is all that would be uploaded.
fn only_file(folder: &Path) -> Result<PathBuf, Error> {
    let bootstrap = folder.join("bootstrap");
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path != bootstrap {
            return Err(format!("{} would be uploaded too", path.display()).into());
        }
    }
    Ok(bootstrap)
}

/// The size of a program, if it is one for this architecture (ELF's `e_machine`).
fn check(program: &Path, architecture: &str) -> Result<u64, Error> {
    let mut header = [0; 20];
    fs::File::open(program)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let machine = match u16::from_le_bytes([header[18], header[19]]) {
        62 => "x86_64",
        183 => "arm64",
        _ => "something else",
    };
    if !header.starts_with(b"\x7fELF") || machine != architecture {
        return Err(format!("{} is no program for {architecture}", program.display()).into());
    }
    Ok(fs::metadata(program)?.len())
}
