//! Cleans up after a process that could not do it itself: a shell that waits for us to end, then ends the server and
//! removes its directory; and, at the next start, the same for whatever that shell did not live to do.

use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::sys::{self, Signal};

/// `read` returns when the pipe to us closes, which the kernel does however we end. The pid is read only then, so a
/// restarted server is found too, and after a pause in which a server just started gets to write it. A negative one
/// is that of initdb's helper, which ends by itself: removing its files any sooner would make it leak shared memory.
const SCRIPT: &str = r#"
read -r _
[ -d "$1" ] || exit 0
sleep 0.3 || sleep 1
if [ -r "$1/data/postmaster.pid" ]; then
    read -r pid < "$1/data/postmaster.pid"
    case $pid in '' | *[!0-9]*) pid= ;; esac
    [ "$pid" ] && kill -QUIT "$pid" 2>/dev/null
    left=100
    while [ -e "$1/data/postmaster.pid" ] && [ "$left" -gt 0 ]; do
        sleep 0.1 || sleep 1
        left=$((left - 1))
    done
    [ -e "$1/data/postmaster.pid" ] && [ "$pid" ] && kill -KILL "$pid" 2>/dev/null
fi
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// The waiting shell; dropping this ends it after the directory is gone.
#[derive(Debug)]
pub(crate) struct Guard {
    shell: Child,
}

impl Guard {
    /// Watches over `directory` and the server whose data is in `directory/data`.
    pub(crate) fn over(directory: &Path) -> io::Result<Guard> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "grantkeep-devpg-guard"])
            .arg(directory);
        // In no pipe of ours but its stdin: whoever waits for our output to end must not wait for the guard.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/");
        sys::in_own_session(&mut command);
        Ok(Guard {
            shell: command.spawn()?,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Ends the server on `data`, should one run whose process is not ours to wait for.
pub(crate) fn end_server_of_dead_owner(data: &Path) {
    let lock_file = data.join("postmaster.pid");
    let Some(pid) = std::fs::read_to_string(&lock_file)
        .ok()
        .and_then(|text| first_pid(&text))
    else {
        return;
    };
    // The file may be older than a reboot: the pid counts only if that process names this directory.
    if !command_line(pid).contains(&*data.to_string_lossy()) {
        return;
    }
    for signal in [Signal::Immediate, Signal::Kill] {
        sys::signal(pid, signal);
        let patience = Instant::now() + Duration::from_secs(10);
        while Instant::now() < patience {
            if !command_line(pid).contains(&*data.to_string_lossy()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn first_pid(lock_file: &str) -> Option<u32> {
    lock_file.lines().next()?.trim().parse().ok()
}

#[cfg(target_os = "linux")]
fn command_line(pid: u32) -> String {
    let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(not(target_os = "linux"))]
fn command_line(pid: u32) -> String {
    let output = Command::new("ps")
        .args(["-ww", "-o", "command=", "-p", &pid.to_string()])
        .output();
    output
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::scratch::Scratch;

    fn process_naming(data: &Path) -> Child {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "read -r _", "postgres"])
            .arg(data)
            .stdin(Stdio::piped());
        let process = command.spawn().unwrap();
        // `spawn` may return before the kernel shows the new command line.
        while !command_line(process.id()).contains(data.to_str().unwrap()) {
            std::thread::sleep(Duration::from_millis(1));
        }
        process
    }

    #[test]
    fn a_server_that_outlived_its_owner_is_ended() {
        let room = Scratch::create_in(&std::env::temp_dir()).unwrap();
        let mut server = process_naming(room.path());
        std::fs::write(
            room.path().join("postmaster.pid"),
            format!("{}\n", server.id()),
        )
        .unwrap();

        end_server_of_dead_owner(room.path());

        // `wait` closes the pipe, so a shell that was spared would end by itself, but not by this signal.
        let ended = server.wait().unwrap();
        assert_eq!(ended.signal(), Some(libc::SIGQUIT));
    }

    #[test]
    fn a_process_that_got_the_pid_of_a_dead_server_is_left_alone() {
        let room = Scratch::create_in(&std::env::temp_dir()).unwrap();
        let mut other = process_naming(Path::new("/somewhere/else"));
        std::fs::write(
            room.path().join("postmaster.pid"),
            format!("{}\n", other.id()),
        )
        .unwrap();

        end_server_of_dead_owner(room.path());

        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
