//! A child that does not outlive whoever started it.

/// Has the system kill this process when the one that started it dies, however it dies. Does nothing where the
/// system has no such thing: then a worker ends when its standard input does.
///
/// A process whose parent died before this call is not killed.
pub fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        // Fails for numbers that are no signal alone.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
}
