//! Reads `definitions/`, checks every provider and writes them as one slice
//! expression, which `src/lib.rs` includes. A faulty file fails the build.

#![allow(dead_code)] // shared with the library, which uses all of it

use std::path::Path;
use std::{env, fs, io};

use definition::Definition;

#[path = "src/definition.rs"]
mod definition;
#[path = "src/endpoint.rs"]
mod endpoint;
#[path = "src/invalid.rs"]
mod invalid;
#[path = "build/load.rs"]
mod load;
#[path = "src/merge.rs"]
mod merge;
#[path = "src/read.rs"]
mod read;
#[path = "src/scopes.rs"]
mod scopes;
#[path = "src/template.rs"]
mod template;
#[path = "src/validate.rs"]
mod validate;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=definitions");

    match built_in() {
        Ok(code) => {
            let directory = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
            fs::write(Path::new(&directory).join("built_in.rs"), code)
        }
        Err(faults) => {
            for fault in faults {
                println!("cargo::error={}", fault.replace('\n', " "));
            }
            Ok(())
        }
    }
}

fn built_in() -> Result<String, Vec<String>> {
    let files =
        |path: &str| toml_files(Path::new(path)).map_err(|error| vec![format!("{path}: {error}")]);
    let loaded = load::load(&files("definitions")?, &files("definitions/families")?)?;

    let mut code = String::from("&[\n");
    let mut faults = Vec::new();
    for (name, json) in loaded {
        code += &format!(
            "    BuiltIn {{ name: {name:?}, family: {:?}, json: {:?} }},\n",
            json["family"].as_str(),
            json.to_string()
        );
        let checked = Definition::from_json(&name, json).and_then(|it| it.validate(&name));
        for invalid in checked.err().unwrap_or_default() {
            faults.push(format!("definitions/{name}.toml: {invalid}"));
        }
    }
    if faults.is_empty() {
        Ok(code + "]\n")
    } else {
        Err(faults)
    }
}

fn toml_files(directory: &Path) -> io::Result<load::Files> {
    let mut files = load::Files::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
            && let Some(stem) = path.file_stem()
        {
            files.insert(
                stem.to_string_lossy().into_owned(),
                fs::read_to_string(&path)?,
            );
        }
    }
    Ok(files)
}
