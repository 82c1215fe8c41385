//! Which host the environment names.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the process runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Host {
    Vercel,
    Lambda,
    /// A plain HTTP server on this address.
    Port(SocketAddr),
}

impl Host {
    /// The host that the process's environment names, or what to tell the operator.
    pub fn from_env() -> Result<Host, String> {
        Host::choose(|name| env::var(name).ok())
    }

    /// Vercel comes first because its machines carry `AWS_*` variables too. An empty variable
    /// counts as absent.
    fn choose(variable: impl Fn(&str) -> Option<String>) -> Result<Host, String> {
        let given = |name| variable(name).filter(|value| !value.is_empty());

        let dev_port = given("VERCEL_DEV_PORT");
        if dev_port.is_some() || given("VERCEL_IPC_PATH").is_some() {
            // Vercel's runtime would silently listen on 3000 instead.
            if let Some(value) = dev_port {
                port("VERCEL_DEV_PORT", &value)?;
            }
            return Ok(Host::Vercel);
        }
        if given("AWS_LAMBDA_RUNTIME_API").is_some() {
            // AWS's runtime would panic on these.
            for name in ["AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION"] {
                given(name)
                    .ok_or_else(|| format!("AWS_LAMBDA_RUNTIME_API is set, {name} is not"))?;
            }
            given("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").filter(|size| size.parse::<i32>().is_ok()).ok_or(
                "AWS_LAMBDA_RUNTIME_API is set, AWS_LAMBDA_FUNCTION_MEMORY_SIZE is not a number",
            )?;
            return Ok(Host::Lambda);
        }
        if let Some(value) = given("PORT") {
            let port = port("PORT", &value)?;
            let ip = match given("HOST") {
                Some(value) => value.parse::<IpAddr>().map_err(|_| {
                    format!("HOST is {value:?}, but has to be an IP address such as 0.0.0.0")
                })?,
                None => Ipv4Addr::LOCALHOST.into(),
            };
            return Ok(Host::Port(SocketAddr::new(ip, port)));
        }
        Err(
            "found no host to serve: set PORT to listen on a port (on HOST, default 127.0.0.1); \
             Vercel sets VERCEL_IPC_PATH or VERCEL_DEV_PORT, AWS Lambda sets AWS_LAMBDA_RUNTIME_API"
                .to_owned(),
        )
    }
}

fn port(name: &str, value: &str) -> Result<u16, String> {
    value
        .parse()
        .map_err(|_| format!("{name} is {value:?}, but has to be a port number from 0 to 65535"))
}

#[cfg(test)]
mod tests {
    use super::Host;

    fn choose(environment: &[(&str, &str)]) -> Result<Host, String> {
        Host::choose(|name| {
            let found = environment.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| value.to_string())
        })
    }

    const LAMBDA: [(&str, &str); 4] = [
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("AWS_LAMBDA_FUNCTION_NAME", "token"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
    ];

    #[test]
    fn vercel_wins_over_lambda_and_lambda_over_a_port() {
        let mut environment = vec![("PORT", "8080")];
        assert_eq!(
            choose(&environment),
            Ok(Host::Port(([127, 0, 0, 1], 8080).into()))
        );

        environment.extend(LAMBDA);
        assert_eq!(choose(&environment), Ok(Host::Lambda));

        environment.push(("VERCEL_IPC_PATH", "/ipc.sock"));
        assert_eq!(choose(&environment), Ok(Host::Vercel));
    }

    #[test]
    fn the_dev_port_alone_means_vercel() {
        assert_eq!(choose(&[("VERCEL_DEV_PORT", "3001")]), Ok(Host::Vercel));
    }

    #[test]
    fn host_names_the_address_to_listen_on() {
        let all = choose(&[("PORT", "80"), ("HOST", "::")]);

        assert_eq!(all, Ok(Host::Port("[::]:80".parse().unwrap())));
    }

    #[test]
    fn a_wrong_variable_is_named_with_its_value() {
        for (environment, name) in [
            ([("PORT", "eighty"), ("", "")], "PORT is \"eighty\""),
            ([("PORT", "65536"), ("", "")], "PORT is \"65536\""),
            ([("PORT", "80"), ("HOST", "here")], "HOST is \"here\""),
            (
                [("VERCEL_DEV_PORT", "x"), ("PORT", "80")],
                "VERCEL_DEV_PORT is \"x\"",
            ),
            (
                [("AWS_LAMBDA_RUNTIME_API", "h:1"), ("PORT", "80")],
                "AWS_LAMBDA_FUNCTION_NAME",
            ),
        ] {
            let wrong = choose(&environment).unwrap_err();
            assert!(wrong.contains(name), "{wrong}");
        }
    }

    #[test]
    fn without_any_host_every_looked_for_variable_is_named() {
        let wrong = choose(&[("PORT", "")]).unwrap_err();

        for name in [
            "PORT",
            "VERCEL_IPC_PATH",
            "VERCEL_DEV_PORT",
            "AWS_LAMBDA_RUNTIME_API",
        ] {
            assert!(wrong.contains(name), "{wrong}");
        }
    }
}
