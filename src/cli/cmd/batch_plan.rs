//! The plans of a batch, and the consents for them (law 2).
//!
//! A person agrees to a batch as a whole: the list was shown, with each device and its deed, and the word was typed; or
//! the options named all of it. Here that is turned into a consent for one plan of one device, and only if the very
//! device, or the station that its row is for, was agreed to.

use super::recover::{Wish, deed, identity, plan_for, save_report};
use crate::backup::Password;
use crate::cli::password;
use crate::device::{Consent, Deed, Device, Given};
use crate::disk::JobFolder;
use crate::event::batch::Action;
use crate::fault::{Code, Fault};
use crate::job::batch::{Agreed, Planned, Planner, Task};
use crate::job::{Consents, Kit, Plan, Story, Way, preflight};
use crate::say::Lang;

pub struct ByFile {
    pub lang: Lang,
    pub agreed: Agreed,
}

/// What a task wishes for one device.
pub fn wish(task: &Task) -> Wish {
    Wish {
        way: if task.action.erases() { Way::Erase } else { Way::Update },
        backup: task.action == Action::Recover && task.backup,
        existing: None,
        vault: None,
        ipsw: task.ipsw.clone(),
        build: task.build.clone(),
        ticket: task.ticket.clone(),
    }
}

impl ByFile {
    /// # Errors
    /// `consent-missing` for a device that nobody agreed to erase, `consent-mismatch` for a plan that is not the task's.
    fn consents(&self, plan: &Plan, task: &Task, station: Option<u32>) -> Result<Consents, Fault> {
        let erases = plan.way == Way::Erase;
        if erases != task.action.erases() {
            let detail = format!("the file says {}, the plan is another", task.action.as_str());
            return Err(Fault::new(Code::ConsentMismatch, detail).on(plan.ecid));
        }
        let named = self.agreed.devices.contains(&plan.ecid)
            || plan.udid.as_ref().is_some_and(|udid| self.agreed.udids.contains(udid))
            || station.is_some_and(|station| self.agreed.stations.contains(&station));
        if erases && (!named || task.ownership.is_none()) {
            return Err(Fault::new(Code::ConsentMissing, format!("nobody agreed to erase {}", plan.ecid)).on(plan.ecid));
        }
        let (who, ecid) = (identity(plan), plan.ecid.to_string());
        let restore = Consent::from_person(&who, deed(plan), &Given::Named(&ecid))?;
        let put_back = match plan.put_back {
            true => Some(Consent::from_person(&who, Deed::PutBack, &Given::Named(&ecid))?),
            false => None,
        };
        Ok(Consents { restore, put_back })
    }
}

impl Planner for ByFile {
    fn plan<'a>(&'a self, kit: &'a Kit, device: &'a Device, task: &'a Task, station: Option<u32>) -> Planned<'a> {
        Box::pin(async move {
            let plan = plan_for(kit, device, wish(task)).await?;
            let consents = self.consents(&plan, task, station)?;
            let found = tokio::select! {
                found = preflight::examine(kit, &plan, device) => found,
                () = kit.cancel.cancelled() => return Err(Fault::cancelled()),
            };
            preflight::verdict(&found)?;
            Ok((plan, consents))
        })
    }

    fn password(&self, task: &Task) -> Result<Option<Password>, Fault> {
        task.password_file.as_deref().map(|path| password::kept(path).map(|kept| kept.password)).transpose()
    }

    fn agreed(&self, plan: &Plan, task: &Task, station: Option<u32>) -> Result<Consents, Fault> {
        self.consents(plan, task, station)
    }

    fn report(&self, folder: &JobFolder, story: &Story) {
        if let Err(fault) = save_report(folder, story, self.lang) {
            tracing::warn!(%fault, "the report was not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Ecid;
    use crate::job::batch::Ownership;
    use crate::job::sample;

    fn plan(ecid: u64, way: Way) -> Plan {
        Plan { ecid: Ecid(ecid), way, ..sample() }
    }

    fn task(action: Action, ownership: Option<Ownership>) -> Task {
        Task { action, backup: false, ownership, ipsw: None, build: None, ticket: None, password_file: None }
    }

    #[test]
    fn only_what_was_agreed_to_is_erased() {
        let agreed = Agreed { devices: vec![Ecid(1)], udids: Vec::new(), stations: vec![4] };
        let by = ByFile { lang: Lang::En, agreed };
        let erase = task(Action::RestoreErase, Some(Ownership::Owner));
        let consents = by.consents(&plan(1, Way::Erase), &erase, None).unwrap();
        assert!(consents.restore.covers(Ecid(1), &deed(&plan(1, Way::Erase))).is_ok());
        assert!(by.consents(&plan(2, Way::Erase), &erase, Some(4)).is_ok(), "whatever is at station 4");
        for (plan, task, station, code) in [
            (plan(2, Way::Erase), erase.clone(), None, Code::ConsentMissing),
            (plan(2, Way::Erase), erase.clone(), Some(5), Code::ConsentMissing),
            (plan(1, Way::Erase), task(Action::RestoreErase, None), None, Code::ConsentMissing),
            (plan(1, Way::Erase), task(Action::RestoreUpdate, None), None, Code::ConsentMismatch),
            (plan(1, Way::Update), erase, None, Code::ConsentMismatch),
        ] {
            let refused = by.consents(&plan, &task, station).err().map(|fault| fault.code);
            assert_eq!(refused, Some(code));
        }
        assert!(by.consents(&plan(9, Way::Update), &task(Action::RestoreUpdate, None), None).is_ok());
    }
}
