//! `.vercel/output`: the functions that are in it, how requests reach them, and that
//! nothing else is published.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::verify::steps::run;
use crate::verify::tree::below;
use crate::verify::{Error, root};

/// What a build made.
pub struct Output {
    /// Every function.
    pub functions: Vec<Function>,
    published: usize,
}

/// One function of it.
pub struct Function {
    /// Its `[[bin]]` name.
    pub name: String,
    /// What would be uploaded and run.
    pub executable: PathBuf,
    bytes: u64,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.functions.iter().map(|function| function.bytes).sum();
        let (count, megabytes) = (self.functions.len(), bytes as f64 / 1e6);
        let published = self.published;
        write!(
            f,
            "{count} functions, {megabytes:.1} MB; {published} static files, no source"
        )
    }
}

/// Reads the output of a build of `project` and compares it with what is to be deployed.
pub fn read(project: &Path) -> Result<Output, Error> {
    let output = project.join(".vercel/output");
    let settings = json(&project.join("vercel.json"))?;
    let sources = sources(project)?;

    let found: BTreeSet<PathBuf> = below(&output.join("functions"))?;
    let wanted = sources.keys().map(|source| {
        Path::new(source)
            .with_extension("func")
            .join(".vc-config.json")
    });
    same("functions", found, wanted.collect())?;
    let functions = sources
        .iter()
        .map(|(source, name)| function(project, source, name, &settings))
        .collect::<Result<_, _>>()?;

    let published = below(&output.join("static"))?;
    let meant = below(&root().join("public"))?;
    let published_count = published.len();
    same("static files", published, meant.clone())?;
    for file in meant {
        let (ours, theirs) = (
            root().join("public").join(&file),
            output.join("static").join(&file),
        );
        if fs::read(ours)? != fs::read(theirs)? {
            return Err(format!("{} was changed by the build", file.display()).into());
        }
    }
    routes(&json(&output.join("config.json"))?, &sources, &settings)?;
    Ok(Output {
        functions,
        published: published_count,
    })
}

/// Path and name of every `[[bin]]` of the package that is deployed.
fn sources(project: &Path) -> Result<BTreeMap<String, String>, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let metadata = ["metadata", "--no-deps", "--offline", "--format-version=1"];
    let printed = run(Command::new(cargo).args(metadata).current_dir(project))?;
    let metadata: Value = serde_json::from_str(&printed)?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages
        .filter(|package| package["name"] == "grantkeep")
        .flat_map(|package| package["targets"].as_array().into_iter().flatten())
        .filter(|target| target["kind"][0] == "bin");
    let sources: BTreeMap<String, String> = targets
        .filter_map(|target| {
            let source = Path::new(target["src_path"].as_str()?);
            let source = source.strip_prefix(project).ok()?.to_str()?;
            Some((source.to_owned(), target["name"].as_str()?.to_owned()))
        })
        .collect();
    match sources.is_empty() {
        true => Err("Cargo.toml names no binary".into()),
        false => Ok(sources),
    }
}

fn function(project: &Path, source: &str, name: &str, settings: &Value) -> Result<Function, Error> {
    let folder = project.join(".vercel/output/functions");
    let folder = folder.join(Path::new(source).with_extension("func"));
    let config = json(&folder.join(".vc-config.json"))?;
    for key in ["memory", "maxDuration"] {
        let wanted = &settings["functions"][source][key];
        if wanted.is_null() || config[key] != *wanted {
            return Err(format!("{source}: {key} is {}, not {wanted}", config[key]).into());
        }
    }
    let files = config["filePathMap"].as_object();
    let handler = config["handler"].as_str().unwrap_or_default();
    let executable = match files.map(|files| (files.len(), files.get(handler))) {
        Some((1, Some(Value::String(path)))) => project.join(path).canonicalize()?,
        _ => return Err(format!("{source} is not one program: {config}").into()),
    };
    let bytes = fs::read(&executable)?;
    if config["runtime"] != "executable" || !bytes.starts_with(b"\x7fELF") {
        return Err(format!("{source} is no program for Linux: {config}").into());
    }
    Ok(Function {
        name: name.to_owned(),
        executable,
        bytes: bytes.len() as u64,
    })
}

/// Files with a parameter in their name, and every rewrite, need a route; other files are
/// found by their path.
fn routes(
    config: &Value,
    sources: &BTreeMap<String, String>,
    settings: &Value,
) -> Result<(), Error> {
    let routes = config["routes"].as_array().ok_or("no routes")?;
    let destinations: BTreeSet<&str> = routes
        .iter()
        .filter_map(|route| route["dest"].as_str()?.split('?').next())
        .collect();
    let parameterised = sources
        .keys()
        .filter(|source| source.contains('['))
        .map(|source| format!("/{}", source.trim_end_matches(".rs")));
    let rewritten = settings["rewrites"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|rewrite| rewrite["destination"].as_str().map(str::to_owned));
    for wanted in parameterised.chain(rewritten) {
        if !destinations.contains(wanted.as_str()) {
            return Err(format!("no route leads to {wanted}: {config}").into());
        }
    }
    Ok(())
}

fn json(path: &Path) -> Result<Value, Error> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn same(what: &str, found: BTreeSet<PathBuf>, wanted: BTreeSet<PathBuf>) -> Result<(), Error> {
    if found == wanted {
        return Ok(());
    }
    let more: Vec<_> = found.difference(&wanted).collect();
    let less: Vec<_> = wanted.difference(&found).collect();
    Err(format!("{what}: not meant {more:?}, missing {less:?}").into())
}
