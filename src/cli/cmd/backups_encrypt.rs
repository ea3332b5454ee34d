//! `backups encrypt`: the backup password of a device.

use super::backup::trusted;
use super::list::say_line;
use crate::backup::{Change, Encryption, Patience, Wish, encryption, set_encryption};
use crate::cli::args::{EncryptVerb, PasswordArgs};
use crate::cli::context::Context;
use crate::cli::show::print_line;
use crate::cli::{Done, password};
use crate::event::Outcome;
use crate::fault::{Code, Fault};
use crate::say::{self, Text};
use serde_json::json;

pub async fn encrypt(context: &Context, verb: EncryptVerb) -> Done {
    let (eyes, normal) = trusted(context).await?;
    let say = |text: &Text| say_line(&say::text(context.lang, text));
    let state = encryption(&eyes.mux, &normal).await?;
    let wish = match &verb {
        EncryptVerb::On { .. } => Wish::On,
        EncryptVerb::Change { .. } => Wish::Change,
        EncryptVerb::Off { .. } => Wish::Off,
    };
    if wish == Wish::Off && state.on == Some(false) {
        say(&Text::EncryptionIsOff);
        return told(context, state);
    }
    state.allows(wish)?;
    match wish {
        Wish::On => {
            say(&Text::EncryptionBefore);
            say(&Text::EncryptionForgotten);
        }
        Wish::Change => say(&Text::EncryptionForgotten),
        Wish::Off => say(&Text::EncryptionLoses),
    }
    let change = match verb {
        EncryptVerb::On { new } => Change::On { new: password::chosen(context, &new)? },
        EncryptVerb::Change { old, new } => {
            Change::Change { old: current(context, &old)?, new: password::chosen(context, &new)? }
        }
        EncryptVerb::Off { old } => Change::Off { old: current(context, &old)? },
    };
    let patience = Patience::default().shortened(context.haste());
    let tell = context.show();
    let state = set_encryption(&eyes.mux, &normal, change, patience, &tell, &context.cancel).await?;
    say(&match wish {
        Wish::On => Text::EncryptionNowOn,
        Wish::Change => Text::EncryptionChanged,
        Wish::Off => Text::EncryptionNowOff,
    });
    told(context, state)
}

fn told(context: &Context, state: Encryption) -> Done {
    if context.common.json {
        print_line(&json!({ "schema": 1, "event": "encryption", "on": state.on, "required": state.required }));
    }
    Ok(Outcome::Ok)
}

fn current(context: &Context, args: &PasswordArgs) -> Result<crate::backup::Password, Fault> {
    let given = password::given_or_asked(context, args, &Text::BackupPasswordAskOld)?;
    given.ok_or_else(|| Fault::new(Code::BackupPassword, "no present backup password was given"))
}
