//! Keeps memory small: gives back what was needed for a while, and takes it in small pages.
//!
//! Reading and translating thousands of objects takes several times the room of what is kept. The allocator gives pages
//! back when others are asked for, so an agent that has started and rests would keep them.

use std::sync::Arc;
use std::time::Duration;

use gateway_control::Published;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long after a change: what goes on changing is worked on with the same pages.
pub(crate) const REST: Duration = Duration::from_secs(5);

/// Has memory come in small pages. The allocator asks for huge ones where the system has them for who asks: then what is
/// kept of 2 MiB is all of it, and an agent without any object has 16 MiB more.
pub(crate) fn use_small_pages() {
    // A kernel without huge pages has none to refuse.
    let _needless = nix::sys::prctl::set_thp_disable(true);
}

#[expect(unsafe_code, reason = "the allocator is a C library")]
// SAFETY: this is how mimalloc declares it, and it is linked: it is the allocator of this program. It may be called at any
// time from any thread, and touches nothing that is in use.
unsafe extern "C" {
    /// Frees what is unused in the pages of this thread and of threads that have ended, and gives free pages to the system.
    safe fn mi_collect(force: bool);
}

/// Gives back what changes have left behind, some time after each.
pub(crate) async fn give_back(
    mut published: watch::Receiver<Option<Arc<Published>>>,
    rest: Duration,
) {
    while published.changed().await.is_ok() {
        sleep(rest).await;
        mi_collect(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1024 * 1024;

    #[tokio::test]
    async fn what_a_change_has_left_behind_is_given_back() {
        let (sender, published) = watch::channel(None);
        let garbage: Vec<Box<[u8; 1024]>> = (0..64 * 1024).map(|_| Box::new([1; 1024])).collect();
        let most = resident();
        drop(garbage);
        sender.send_replace(None);
        drop(sender);
        give_back(published, Duration::ZERO).await;
        assert!(
            resident() + 32 * MEBIBYTE < most,
            "{} of {most}",
            resident()
        );
    }

    #[test]
    fn pages_are_small_once_it_is_said() {
        use_small_pages();
        assert_eq!(nix::sys::prctl::get_thp_disable(), Ok(true));
    }

    /// The bytes of this process that are in memory.
    fn resident() -> usize {
        let sizes = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
        let pages = sizes.split(' ').nth(1).expect("the second is that");
        pages.parse::<usize>().expect("a number") * 4096
    }
}
