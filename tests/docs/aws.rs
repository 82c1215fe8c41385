//! `template.yaml` deploys the functions that there are, at their paths, with every setting.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use grantkeep_core::settings::{Need, Settings};
use grantkeep_functions::routes::FUNCTIONS;
use yaml_rust2::{Yaml, YamlLoader};

use crate::project::text;

/// The queue that shares the polling of mailboxes out.
const OF_THE_QUEUE: &str = "POLL_QUEUE_URL";
/// Only the template knows it: a change makes the functions read their secrets again.
const OF_THE_TEMPLATE: &str = "SETTINGS_REVISION";

/// `!Ref X` and its kin are read as plain `X`.
fn template() -> Yaml {
    let mut documents = YamlLoader::load_from_str(&text("template.yaml")).expect("YAML");
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn names(mapping: &Yaml) -> BTreeSet<String> {
    entries(mapping).map(|(name, _)| name.to_owned()).collect()
}

fn entries(mapping: &Yaml) -> impl Iterator<Item = (&str, &Yaml)> {
    let entries = mapping.as_hash().expect("a mapping").iter();
    entries.map(|(name, value)| (name.as_str().expect("a name"), value))
}

/// The resources of one type.
fn resources<'a>(template: &'a Yaml, kind: &str) -> BTreeMap<&'a str, &'a Yaml> {
    entries(&template["Resources"])
        .filter(|(_, resource)| resource["Type"].as_str() == Some(kind))
        .collect()
}

/// The names of the binaries by the names of the template's functions.
fn binaries(template: &Yaml) -> BTreeMap<&str, &str> {
    resources(template, "AWS::Serverless::Function")
        .into_iter()
        .map(|(name, function)| {
            let metadata = &function["Metadata"];
            assert_eq!(
                metadata["BuildMethod"].as_str(),
                Some("rust-cargolambda"),
                "{name}"
            );
            let binary = metadata["BuildProperties"]["Binary"].as_str();
            (name, binary.unwrap_or_else(|| panic!("{name}: no binary")))
        })
        .collect()
}

/// Every variable that the functions ask for. For a secret only where its client id is set.
fn settings() -> BTreeSet<String> {
    let mut asked = asked_with(None);
    let clients: Vec<String> = asked.iter().cloned().collect();
    for client in clients.iter().filter(|name| name.ends_with("_CLIENT_ID")) {
        asked.extend(asked_with(Some(client)));
    }
    asked.insert("LOG_LEVEL".to_owned());
    // Stands in for REDIS_URL where a host sets it.
    asked.remove("KV_URL");
    asked
}

fn asked_with(client: Option<&str>) -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        let value = match name {
            "DATABASE_URL" => "postgres://u@127.0.0.1/d",
            "OAUTH_ENCRYPTION_KEY" => "b3h1bWJyZWxsYS1jb3JhbC1zZXZlbi1maXNoLTQyISE",
            "PUBLIC_URL" => "https://app.example",
            name if Some(name) == client => "a-client-id",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let read = Settings::read(
        &[Need::Sessions, Need::ServiceKeys, Need::CronSecret],
        &lookup,
    );
    assert!(read.is_err(), "what it needs is missing");
    asked.into_inner()
}

fn is_secret(variable: &str) -> bool {
    variable == "DATABASE_URL" || variable.contains("SECRET") || variable.contains("KEY")
}

fn variables(template: &Yaml) -> &Yaml {
    &template["Globals"]["Function"]["Environment"]["Variables"]
}

#[test]
fn the_template_has_every_function_once_and_no_other() {
    let template = template();
    let mut deployed: Vec<&str> = binaries(&template).into_values().collect();
    let mut functions: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    deployed.sort_unstable();
    functions.sort_unstable();

    assert_eq!(deployed, functions);
}

/// A route's path as API Gateway writes it.
fn greedy(route: &str) -> String {
    match route.split_once("{*") {
        Some((before, rest)) => format!("{before}{{{}+}}", rest.trim_end_matches('}')),
        None => route.to_owned(),
    }
}

/// `ANY`: a function refuses methods itself, in its own words, and answers a browser's
/// `OPTIONS`, which is in no table.
#[test]
fn every_public_path_leads_to_its_function_with_every_method() {
    let template = template();
    let binaries = binaries(&template);
    let integrations = resources(&template, "AWS::ApiGatewayV2::Integration");
    let deployed: BTreeMap<String, &str> = resources(&template, "AWS::ApiGatewayV2::Route")
        .into_values()
        .map(|route| {
            let text = |key: &str| route["Properties"][key].as_str().expect("a text");
            let path = text("RouteKey").strip_prefix("ANY ").expect("ANY");
            let integration = text("Target")
                .strip_prefix("integrations/${")
                .and_then(|target| target.strip_suffix('}'))
                .expect("an integration");
            let function = integrations[integration]["Properties"]["IntegrationUri"].as_str();
            let function = function.and_then(|uri| uri.strip_suffix(".Arn"));
            (
                path.to_owned(),
                binaries[function.expect("a function's ARN")],
            )
        })
        .collect();
    let public: BTreeMap<String, &str> = FUNCTIONS
        .iter()
        .flat_map(|function| {
            let paths = function.routes.iter();
            paths.map(|(path, _)| (greedy(path), function.name))
        })
        .collect();

    assert_eq!(deployed, public);
}

#[test]
fn the_api_may_call_every_function() {
    let template = template();
    let permitted: BTreeSet<&str> = resources(&template, "AWS::Lambda::Permission")
        .into_values()
        .map(|permission| {
            let properties = &permission["Properties"];
            assert_eq!(
                properties["Principal"].as_str(),
                Some("apigateway.amazonaws.com")
            );
            let source = properties["SourceArn"].as_str().unwrap_or_default();
            assert!(source.ends_with(":${Api}/*"), "{source}");
            properties["FunctionName"].as_str().expect("a function")
        })
        .collect();

    assert_eq!(permitted, binaries(&template).into_keys().collect());
}

/// A stage with a name would be a part of the path that functions see.
#[test]
fn the_api_has_one_stage_without_a_name() {
    let template = template();
    let stages: Vec<_> = resources(&template, "AWS::ApiGatewayV2::Stage")
        .into_values()
        .map(|stage| stage["Properties"]["StageName"].as_str())
        .collect();

    assert_eq!(stages, [Some("$default")]);
}

#[test]
fn every_setting_is_a_variable_of_every_function() {
    let template = template();
    let mut variables = names(variables(&template));
    assert!(variables.remove(OF_THE_TEMPLATE));

    // Known only when the stack has made the queue, and to the one function that uses it.
    assert!(variables.insert(OF_THE_QUEUE.to_owned()));
    assert_eq!(variables, settings());
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        let own = &function["Properties"]["Environment"];
        match name {
            "Cron" => assert_eq!(names(&own["Variables"]), [OF_THE_QUEUE.to_owned()].into()),
            _ => assert!(own.is_badvalue(), "{name} has variables of its own"),
        }
    }
}

#[test]
fn every_variable_is_a_parameter() {
    let template = template();
    for (variable, value) in entries(variables(&template)) {
        // With a fallback: the parameter, unless it is empty.
        let parameter = match value.as_vec() {
            Some(choice) => choice[1].as_str(),
            None => value.as_str(),
        };
        let parameter = parameter.unwrap_or_else(|| panic!("{variable} is no parameter"));
        let described = template["Parameters"][parameter]["Description"].as_str();
        let plain = parameter.to_ascii_lowercase();

        assert_eq!(plain, variable.replace('_', "").to_ascii_lowercase());
        assert!(
            variable == OF_THE_TEMPLATE || described.is_some_and(|text| text.starts_with(variable)),
            "{parameter}: {described:?}"
        );
    }
}

#[test]
fn secrets_are_shown_to_nobody() {
    let template = template();
    let secrets: Vec<(&str, &Yaml)> = entries(variables(&template))
        .filter(|(variable, _)| is_secret(variable))
        .collect();
    assert!(secrets.len() >= 10, "{secrets:?}");
    for (variable, parameter) in secrets {
        let parameter = &template["Parameters"][parameter.as_str().expect("a parameter")];

        assert_eq!(parameter["NoEcho"].as_bool(), Some(true), "{variable}");
        let default = parameter["Default"].as_str().unwrap_or_default();
        assert_eq!(default, "", "{variable} has a value in the template");
    }
}

#[test]
fn samconfig_names_parameters_and_holds_no_secret() {
    let template = template();
    let config: toml::Value = toml::from_str(&text("samconfig.toml")).expect("samconfig.toml");
    let overrides = config["default"]["deploy"]["parameters"]["parameter_overrides"].as_array();
    for one in overrides.expect("parameter_overrides") {
        let (name, value) = one
            .as_str()
            .and_then(|text| text.split_once('='))
            .expect("NAME=VALUE");

        assert!(!template["Parameters"][name].is_badvalue(), "{name}");
        assert!(
            value.starts_with("{{resolve:secretsmanager:") && value.ends_with("}}"),
            "{name}"
        );
    }
}

/// The shell block of the page that makes `secrets.json`, run as it stands there.
#[test]
fn the_documents_secrets_are_settings_that_work() {
    let page = text("docs/deploy-aws.md");
    let block = page
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .find(|block| block.contains("> secrets.json"))
        .expect("a block that makes secrets.json");
    let folder = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new("sh")
        .args(["-ec", block])
        .current_dir(folder.path())
        .env("DATABASE_URL", "postgres://u:p@db.example/d")
        .env("GOOGLE_CLIENT_ID", "a-client-id")
        .env("GOOGLE_CLIENT_SECRET", "a-client-secret")
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{output:?}");
    let made = std::fs::read_to_string(folder.path().join("secrets.json")).expect("the file");
    let secrets: BTreeMap<String, String> = serde_json::from_str(&made).expect("JSON");

    let lookup = |name: &str| match name {
        "PUBLIC_URL" => Some("https://app.example".to_owned()),
        name => secrets.get(name).cloned(),
    };
    let needs = [Need::Sessions, Need::ServiceKeys, Need::CronSecret];
    let settings = Settings::read(&needs, &lookup).expect("settings");
    assert!(settings.providers.find("gmail").is_some());
    let printed = String::from_utf8(output.stdout).expect("text");
    let key = printed.split_whitespace().last().expect("a key");
    assert!(settings.service_keys.find(key).is_some());
    // What samconfig.toml reads out of the secret is in it.
    for reference in text("samconfig.toml").split("SecretString:").skip(1) {
        let name = reference.split("}}").next().expect("a name");
        assert!(secrets.contains_key(name), "{name}");
    }
}

#[test]
fn the_document_names_every_parameter_and_output() {
    let template = template();
    let document = text("docs/deploy-aws.md");
    for section in ["Parameters", "Outputs"] {
        for name in names(&template[section]) {
            assert!(document.contains(&format!("`{name}`")), "{section}: {name}");
        }
    }
}
