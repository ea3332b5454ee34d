//! `restore`: firmware only, no backup and nothing put back.

use super::preflight::{check, rehearse};
use super::recover::{Wish, deed, drive, kit, plan_for, show_chance, show_plan};
use super::triage::warn_of_lock;
use crate::cli::args::RestoreArgs;
use crate::cli::context::Context;
use crate::cli::{Done, ask};
use crate::event::{Event, Step};
use crate::job::{Consents, Job, Way};

pub async fn run(context: &Context, args: RestoreArgs) -> Done {
    let kit = kit(context, args.by_hand)?;
    kit.tell.tell(Event::StepBegan { step: Step::Find, what: String::new() });
    let device = context.device(&kit.eyes).await?;
    kit.tell.tell(Event::StepDone { step: Step::Find, what: format!("{} ({})", device.who().title(), device.mode()) });
    let way = if args.erase { Way::Erase } else { Way::Update };
    let wish =
        Wish { way, backup: false, existing: None, vault: None, ipsw: args.ipsw, build: None, ticket: args.ticket };
    let plan = plan_for(&kit, &device, wish).await?;
    show_plan(context, &plan);
    if way == Way::Erase {
        show_chance(context, &device);
        warn_of_lock(context, &kit, &device).await;
    }
    if args.dry_run {
        return rehearse(context, &kit, &plan, &device).await;
    }
    check(context, &kit, &plan, &device).await?;
    let who = device.who().clone();
    let restore = match way {
        Way::Erase => ask::consent(context.lang, &who, deed(&plan), args.yes_erase.as_deref())?,
        // Nothing is destroyed by plan; asking for `--update` by name is the consent.
        Way::Update => ask::consent(context.lang, &who, deed(&plan), Some(&plan.ecid.to_string()))?,
    };
    let job = Job::begin(&kit, plan)?;
    drive(context, &kit, job, &Consents { restore, put_back: None }).await
}
