//! Workers that leave something behind, or do not end when they have said all.

use super::*;

#[test]
fn what_a_worker_leaves_behind_holds_nothing_up_and_is_ended() {
    let scripted = ScriptedSweep::new("cat $events; sleep 600 & echo $! > $here/left");
    let begin = Instant::now();
    assert_eq!(scripted.outcome(), Outcome::Finished);
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "{:?}",
        begin.elapsed()
    );
    let left = std::fs::read_to_string(scripted.folder.path().join("left")).unwrap();
    let is_there = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", left.trim()));
        // A zombie is dead; only nobody has taken notice.
        stat.is_ok_and(|stat| !stat.contains(") Z"))
    };
    while is_there() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_worker_that_has_said_all_and_does_not_end_is_ended() {
    let begin = Instant::now();
    assert_eq!(
        ScriptedSweep::new("cat $events; exec sleep 600").outcome(),
        Outcome::Finished
    );
    assert!(begin.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_worker_that_closes_its_output_and_does_not_end_is_ended() {
    let failure = ScriptedSweep::new("head -n 1 $events; exec >&-; exec sleep 600").failure();
    assert_eq!(
        failure.message,
        "the worker closed its output and did not end, so it was killed, without a result; it said nothing"
    );
}
