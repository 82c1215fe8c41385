//! Spawns children from one thread that lives as long as the process.
//!
//! The kernel's parent-death signal fires when the *thread* that spawned the child ends. Test runners give each test
//! a short-lived thread, so a server spawned there would be shut down under the tests that follow.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use crate::sys::{self, Signal};

type Order = (Command, Sender<io::Result<Child>>);

/// Starts `command` in its own session; the kernel sends it `at_our_end` when this process ends.
pub(crate) fn spawn(mut command: Command, at_our_end: Signal) -> io::Result<Child> {
    static KEEPER: OnceLock<Sender<Order>> = OnceLock::new();

    sys::in_own_session(&mut command);
    sys::ends_with_spawning_thread(&mut command, at_our_end);

    let (answer, answered) = channel();
    let orders = KEEPER.get_or_init(keep);
    orders.send((command, answer)).map_err(|_| gone())?;
    answered.recv().map_err(|_| gone())?
}

fn keep() -> Sender<Order> {
    let (orders, ordered) = channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in ordered {
            // Only a caller that has panicked no longer listens, and then the child is nobody's: end it.
            if let Err(unheard) = answer.send(command.spawn())
                && let Ok(mut child) = unheard.0
            {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    });
    orders
}

fn gone() -> io::Error {
    io::Error::other("the thread that starts servers has ended")
}
