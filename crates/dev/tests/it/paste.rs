//! Every printed curl line works as it is, run by a shell.

use url::Url;

use crate::support::{Dev, paste};

/// A browser made of curl, with its cookies in a file of its own.
struct Visitor {
    jar: String,
}

impl Visitor {
    fn new(dev: &Dev) -> Visitor {
        let name = format!("grantkeep-dev-test-{}.cookies", dev.process.id());
        let jar = std::env::temp_dir().join(name);
        Visitor {
            jar: jar.to_string_lossy().into_owned(),
        }
    }

    /// Opens an address; where it redirects to, or its body.
    fn open(&self, address: &str, further: &str) -> String {
        let jar = &self.jar;
        let written = r"%{redirect_url}";
        let line = format!(
            "curl -sS -b '{jar}' -c '{jar}' {further} -w '{written}' -o /dev/null '{address}'"
        );
        let (worked, target) = paste(&line);
        assert!(worked, "{line}");
        target
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.jar);
    }
}

fn connect(dev: &Dev) {
    let visitor = Visitor::new(dev);
    let page = visitor.open(dev.line("/connect?session="), "");
    assert!(page.ends_with("/connect"), "{page}");
    let authorize = format!("{}/api/oauth/gmail/authorize", dev.origin());
    let asked = Url::parse(&visitor.open(&authorize, "")).expect("the provider's address");
    let form = format!(
        "--data-urlencode 'request={}' -d account=bob@example.test -d decision=allow \
         --data-urlencode 'scope=https://www.googleapis.com/auth/gmail.readonly'",
        asked.query().expect("a query")
    );
    let mut target = asked.clone();
    target.set_query(None);
    let callback = visitor.open(target.as_str(), &form);
    let done = visitor.open(&callback, "");
    assert!(done.contains("connection=connected"), "{done}");
}

#[test]
fn every_curl_line_answers_200_as_it_is_printed() {
    let dev = Dev::start(&[]);
    connect(&dev);

    let lines: Vec<&str> = dev
        .said
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(lines.len(), 6, "{}", dev.said);
    for line in lines {
        let (worked, answer) = paste(&format!("{line} -w '\\n%{{http_code}}'"));
        let (body, status) = answer.rsplit_once('\n').expect("a status");
        assert!(worked && status == "200", "{status} {body}\n{line}");
        let expected = match line {
            _ if line.contains("/api/token") => "\"account\":\"bob@example.test\"",
            _ if line.contains("/api/connections") => "\"status\":\"active\"",
            _ if line.contains("/api/health") => "\"reachable\":true",
            _ if line.contains("/control/requests") => "\"endpoint\":\"/token\"",
            _ if line.contains("PATCH") => "\"access_token_lifetime_s\":60",
            _ => "\"access_token_lifetime_s\":3599",
        };
        assert!(body.contains(expected), "{body}\n{line}");
    }
}
