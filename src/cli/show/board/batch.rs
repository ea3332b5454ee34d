//! What a batch tells, on the board: each event changes one row.

use super::{Doing, Live, Need, Row};
use crate::event::Step;
use crate::event::batch::{BatchEvent, Happened, Phase, Row as BatchRow, TellBatch};
use crate::fault::Code;
use crate::say::{self, Batch};
use std::time::Duration;

/// Hears a batch, and shows it.
pub struct Feed(Live);

impl Feed {
    pub fn new(live: Live) -> Feed {
        Feed(live)
    }
}

fn key(row: u32) -> String {
    format!("row {row}")
}

/// The row that a key of the board stands for.
pub(super) fn row_of(key: &str) -> Option<u32> {
    key.strip_prefix("row ")?.parse().ok()
}

impl TellBatch for Feed {
    fn tell(&self, event: BatchEvent) {
        let now = self.0.now();
        if let Happened::Rows { rows } = &event.happened {
            rows.iter().for_each(|row| self.0.alter(&key(row.row), |shown| known(shown, row, now)));
            return;
        }
        match &event.happened {
            Happened::Warning { text } => self.0.notice(text),
            Happened::NotAsked => self.0.notice(&say::batch(self.0.lang(), &Batch::NotAsked)),
            Happened::Ignored { device } => {
                self.0.notice(&say::batch(self.0.lang(), &Batch::Ignored { ecid: &device.to_string() }));
            }
            _ => {}
        }
        let Some(row) = event.row else { return };
        self.0.alter(&key(row), |shown| {
            shown.ecid = event.ecid.or(shown.ecid);
            shown.station = event.station.or(shown.station);
            take(shown, &event.happened, now);
        });
    }
}

fn known(shown: &mut Row, row: &BatchRow, now: Duration) {
    (shown.ecid, shown.station, shown.mode) = (row.ecid, row.station, row.mode);
    shown.title = row.title.clone().or(shown.title.take());
    phase(shown, row.phase, None, None, now);
}

fn take(shown: &mut Row, happened: &Happened, now: Duration) {
    match happened {
        Happened::Row { now: row } => known(shown, row, now),
        Happened::Phase { phase: to, wants, fault, presses, .. } => {
            let code = fault.as_ref().map(|fault| fault.code);
            let remedy = fault.as_ref().and_then(|fault| fault.remedy);
            let need = wants.map(|wants| Need::Wants { wants, code, remedy, presses: presses.clone() });
            phase(shown, *to, need, code, now);
        }
        Happened::Began { .. } => {
            (shown.percent, shown.need, shown.ended) = (None, None, None);
            shown.began = shown.began.or(Some(now));
        }
        Happened::Told { told } => shown.hear(told),
        Happened::Mode { mode } => shown.mode = *mode,
        Happened::Stranger { stranger } => shown.need = Some(Need::Stranger(*stranger)),
        Happened::Rows { .. }
        | Happened::NotAsked
        | Happened::Ignored { .. }
        | Happened::Warning { .. }
        | Happened::Over { .. } => {}
    }
}

fn phase(shown: &mut Row, phase: Phase, need: Option<Need>, code: Option<Code>, now: Duration) {
    // What a job asks for while it runs is told by the job.
    if phase != Phase::Running {
        shown.need = need;
    }
    shown.doing = match (phase, shown.doing) {
        (Phase::Queued, _) => Doing::Queued,
        (Phase::Running, Doing::Working(step)) => Doing::Working(step),
        (Phase::Running, _) => Doing::Working(Step::Find),
        (Phase::WaitsForPerson, Doing::Working(step)) => Doing::Working(step),
        (Phase::WaitsForPerson, _) => Doing::Queued,
        (Phase::WaitsToRetry, _) => Doing::Retry,
        (Phase::Done, _) => Doing::Done,
        (Phase::Partly, _) => Doing::Partly,
        (Phase::Failed | Phase::LeftForPerson, Doing::Failed(before)) => Doing::Failed(code.unwrap_or(before)),
        (Phase::Failed | Phase::LeftForPerson, _) => code.map_or(Doing::Cancelled, Doing::Failed),
        (Phase::Cancelled, _) => Doing::Cancelled,
    };
    if matches!(phase, Phase::Running) && shown.began.is_none() {
        shown.began = Some(now);
    }
    shown.ended = phase.is_end().then_some(now).filter(|_| shown.began.is_some());
}

#[cfg(test)]
mod tests {
    use super::super::live::Show;
    use super::*;
    use crate::event::batch::{Action, Wants};
    use crate::event::{Event, Request, Unit};
    use crate::fault::Fault;
    use crate::ids::{Ecid, Mode};
    use crate::say::Lang;

    fn feed() -> (Live, Feed) {
        let live = Live::to(Show::Lines, Lang::En, true, Box::new(std::io::sink()));
        (live.clone(), Feed::new(live))
    }

    fn row(row: u32) -> BatchRow {
        let (ecid, station) = (Some(Ecid(0xA0 + u64::from(row))), Some(row));
        let action = Action::RestoreErase;
        BatchRow { row, ecid, station, title: None, action, phase: Phase::Queued, mode: None, tries: 0 }
    }

    fn about(row: u32, happened: Happened) -> BatchEvent {
        BatchEvent { row: Some(row), ecid: None, station: None, happened }
    }

    fn phased(phase: Phase, wants: Option<Wants>, fault: Option<Fault>) -> Happened {
        Happened::Phase { phase, wants, seconds: None, fault, presses: Vec::new() }
    }

    #[test]
    fn a_row_from_its_turn_to_its_end() {
        let (live, feed) = feed();
        let rows = Happened::Rows { rows: vec![row(1), row(2)] };
        feed.tell(BatchEvent { row: None, ecid: None, station: None, happened: rows });
        let now = |number: u32| live.row(&key(number)).unwrap();
        assert_eq!((now(1).doing, now(2).station, live.keys().len()), (Doing::Queued, Some(2), 2));
        feed.tell(about(1, phased(Phase::Running, None, None)));
        feed.tell(about(1, Happened::Began { job: "j".into(), tries: 1 }));
        feed.tell(about(1, Happened::Mode { mode: Some(Mode::Dfu) }));
        feed.tell(about(1, Happened::Told { told: Event::StepBegan { step: Step::Restore, what: String::new() } }));
        let progress = Event::Progress { step: Step::Restore, unit: Unit::Percent, done: 40, total: None };
        feed.tell(about(1, Happened::Told { told: progress }));
        assert_eq!(
            (now(1).doing, now(1).percent, now(1).mode),
            (Doing::Working(Step::Restore), Some(40), Some(Mode::Dfu))
        );
        feed.tell(about(1, Happened::Told { told: Event::Ask { request: Request::Replug } }));
        feed.tell(about(1, phased(Phase::Running, None, None)));
        assert_eq!(now(1).need, Some(Need::Ask(Request::Replug)), "it is still asked");
        feed.tell(about(1, phased(Phase::WaitsToRetry, None, Some(Fault::new(Code::UsbGone, "")))));
        assert_eq!((now(1).doing, now(1).need.clone(), now(1).ended), (Doing::Retry, None, None));
        feed.tell(about(1, phased(Phase::Done, None, None)));
        assert!(now(1).doing == Doing::Done && now(1).ended.is_some() && now(2).doing == Doing::Queued);
    }

    #[test]
    fn what_a_person_has_to_do_stays_until_it_goes_on() {
        let (live, feed) = feed();
        feed.tell(about(3, Happened::Row { now: row(3) }));
        let now = || live.row(&key(3)).unwrap();
        let fault = Fault::new(Code::DeviceLocked, "");
        feed.tell(about(3, phased(Phase::WaitsForPerson, Some(Wants::Remedy), Some(fault.clone()))));
        let need =
            Need::Wants { wants: Wants::Remedy, code: Some(Code::DeviceLocked), remedy: None, presses: Vec::new() };
        assert_eq!(now().need, Some(need));
        feed.tell(about(3, Happened::Stranger { stranger: Ecid(9) }));
        assert_eq!(now().need, Some(Need::Stranger(Ecid(9))));
        feed.tell(about(3, Happened::Began { job: "j".into(), tries: 2 }));
        assert_eq!(now().need, None);
        feed.tell(about(3, phased(Phase::LeftForPerson, Some(Wants::Remedy), Some(fault))));
        assert_eq!((now().doing, now().need.is_some()), (Doing::Failed(Code::DeviceLocked), true));
        assert_eq!((now().ecid, now().station), (Some(Ecid(0xA3)), Some(3)), "who it is stays known");
    }
}
