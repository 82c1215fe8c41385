//! The system calls that std does not offer, behind safe functions. The only unsafe code of the crate.
#![allow(unsafe_code, reason = "each block says why it is sound")]

use std::ffi::CStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user of the passwd database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
}

/// The signals that end a postmaster, gentlest first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    /// Fast shutdown: roll back, disconnect, write a checkpoint.
    Fast,
    /// Immediate shutdown: no checkpoint, but children and shared memory are cleaned up.
    Immediate,
    /// Nothing is cleaned up; the children notice by themselves.
    Kill,
}

impl Signal {
    fn number(self) -> libc::c_int {
        match self {
            Signal::Fast => libc::SIGINT,
            Signal::Immediate => libc::SIGQUIT,
            Signal::Kill => libc::SIGKILL,
        }
    }
}

/// Sends `signal` to one process. A process that is gone is not an error: it is what the caller wanted.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let Ok(pid @ 1..) = libc::pid_t::try_from(pid) else {
        return;
    };
    // SAFETY: kill takes two integers and touches no memory of ours; pid is positive, so no group is addressed.
    unsafe { libc::kill(pid, signal.number()) };
}

/// The user this process acts as.
pub(crate) fn effective_user() -> User {
    // SAFETY: both calls take nothing and cannot fail.
    unsafe {
        User {
            uid: libc::geteuid(),
            gid: libc::getegid(),
        }
    }
}

/// The user of that name, if there is one.
pub(crate) fn user_named(name: &CStr) -> Option<User> {
    lookup(|entry, buffer, length, found| {
        // SAFETY: name is NUL-terminated; the other pointers are those of `lookup`, valid for the call.
        unsafe { libc::getpwnam_r(name.as_ptr(), entry, buffer, length, found) }
    })
}

/// Whether the passwd database knows `uid`; initdb insists on that.
pub(crate) fn has_passwd_entry(uid: u32) -> bool {
    lookup(|entry, buffer, length, found| {
        // SAFETY: the pointers are those of `lookup`, valid for the call.
        unsafe { libc::getpwuid_r(uid, entry, buffer, length, found) }
    })
    .is_some()
}

fn lookup(
    call: impl FnOnce(
        *mut libc::passwd,
        *mut libc::c_char,
        libc::size_t,
        *mut *mut libc::passwd,
    ) -> libc::c_int,
) -> Option<User> {
    let mut entry = std::mem::MaybeUninit::<libc::passwd>::uninit();
    let mut buffer = vec![0; 16 * 1024];
    let mut found = std::ptr::null_mut();
    let code = call(
        entry.as_mut_ptr(),
        buffer.as_mut_ptr(),
        buffer.len(),
        &mut found,
    );
    if code != 0 || found.is_null() {
        return None;
    }
    // SAFETY: found is only set when the call has filled the entry, which lives until the end of this function.
    let entry = unsafe { &*found };
    Some(User {
        uid: entry.pw_uid,
        gid: entry.pw_gid,
    })
}

/// Puts the command into a session of its own, so that Ctrl-C in the terminal does not reach it.
pub(crate) fn in_own_session(command: &mut Command) {
    // SAFETY: the closure makes one async-signal-safe system call and allocates nothing.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
}

/// Makes the kernel send the command `signal` when the thread that spawns it ends.
///
/// Call it last: a change of uid or of user namespace clears the setting.
#[cfg(target_os = "linux")]
pub(crate) fn ends_with_spawning_thread(command: &mut Command, signal: Signal) {
    let parent = std::process::id();
    let signal = signal.number();
    // SAFETY: the closure makes async-signal-safe system calls only and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal) == -1 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have ended between fork and prctl; then the signal would never come.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

/// Elsewhere only the guard process watches.
#[cfg(not(target_os = "linux"))]
pub(crate) fn ends_with_spawning_thread(_command: &mut Command, _signal: Signal) {}

/// Lets the command see itself as `inner`, in a user namespace where only it is mapped, to the present user.
#[cfg(target_os = "linux")]
pub(crate) fn in_user_namespace(command: &mut Command, inner: User) {
    let outer = effective_user();
    let uid_map = format!("{} {} 1", inner.uid, outer.uid);
    let gid_map = format!("{} {} 1", inner.gid, outer.gid);
    // SAFETY: the closure makes async-signal-safe system calls on memory allocated before the fork.
    unsafe {
        command.pre_exec(move || {
            if libc::unshare(libc::CLONE_NEWUSER) == -1 {
                return Err(io::Error::last_os_error());
            }
            write_whole(c"/proc/self/uid_map", uid_map.as_bytes())?;
            // The kernel takes a gid map from an unprivileged process only once it has given up setgroups.
            write_whole(c"/proc/self/setgroups", b"deny")?;
            write_whole(c"/proc/self/gid_map", gid_map.as_bytes())
        });
    }
}

/// Other systems have no user namespaces.
#[cfg(not(target_os = "linux"))]
pub(crate) fn in_user_namespace(command: &mut Command, _inner: User) {
    // SAFETY: the closure only builds an error from a constant, without allocating.
    unsafe {
        command.pre_exec(|| Err(io::Error::from_raw_os_error(libc::ENOSYS)));
    }
}

/// Writes in one call, without allocating: for use between fork and exec.
#[cfg(target_os = "linux")]
fn write_whole(path: &CStr, content: &[u8]) -> io::Result<()> {
    // SAFETY: path is NUL-terminated, content is valid for its length, the descriptor is closed exactly once.
    unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if file == -1 {
            return Err(io::Error::last_os_error());
        }
        let written = libc::write(file, content.as_ptr().cast(), content.len());
        let result = match written {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        };
        libc::close(file);
        result
    }
}
