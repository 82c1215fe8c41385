//! Every printed curl line works as it is, run by a shell.

use crate::support::{Dev, Visitor, paste};

#[test]
fn every_curl_line_answers_200_as_it_is_printed() {
    let dev = Dev::start(&[]);
    Visitor::new(&dev).connect("gmail", &["https://www.googleapis.com/auth/gmail.readonly"]);

    let lines: Vec<&str> = dev
        .said
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert_eq!(lines.len(), 7, "{}", dev.said);
    for line in lines {
        let (worked, answer) = paste(&format!("{line} -w '\\n%{{http_code}}'"));
        let (body, status) = answer.rsplit_once('\n').expect("a status");
        assert!(worked && status == "200", "{status} {body}\n{line}");
        let expected = match line {
            _ if line.contains("/api/token") => "\"account\":\"bob@example.test\"",
            _ if line.contains("/api/proxy") => "\"emailAddress\":\"bob@example.test\"",
            _ if line.contains("/api/connections") => "\"status\":\"active\"",
            _ if line.contains("/api/health") => "\"reachable\":true",
            _ if line.contains("/control/requests") => "\"endpoint\":\"/token\"",
            _ if line.contains("PATCH") => "\"access_token_lifetime_s\":60",
            _ => "\"access_token_lifetime_s\":3599",
        };
        assert!(body.contains(expected), "{body}\n{line}");
    }
}
