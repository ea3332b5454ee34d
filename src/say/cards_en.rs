//! The cards in English.

use super::cards::{Body::*, Card, Fill::*, Topic};

pub(super) fn card(topic: Topic) -> Card {
    match topic {
        Topic::Account => Card {
            title: "Apple Account: back in when the password is gone",
            lead: "Start at the top: the first ways take minutes, the last takes days. Erase nothing before this is \
                   done: with Find My on, an erased device asks for this very account.",
            parts: &[
                (
                    "First",
                    Points(&[
                        "Which account is it? Look on another device of its owner (Settings, the name at the top), on \
                         receipts of the App Store and in old mail. iforgot.apple.com can look for it by name and mail \
                         address.",
                        "Keep the telephone number alive. The SIM of the trusted number is worth more now than the phone.",
                    ]),
                ),
                (
                    "From cheap to dear",
                    Steps(&[
                        "On any device that is still signed in: Settings, the name, Sign-In & Security, Change Password. \
                         It asks for that device's own passcode. Minutes.",
                        "iforgot.apple.com, best from a computer and a network that the account knows. Devices that are \
                         signed in get a message, the trusted number gets a code. Minutes.",
                        "The Apple Support app on the iPhone of somebody you trust, or on one in an Apple Store: it can \
                         reset the password of another's account. Nothing of yours stays on that phone.",
                        "A recovery contact (`herstel card recovery-contact`), or the recovery key on paper if one was \
                         made.",
                        "Account recovery, the last way: several days or more. Apple mails when it is time. Use no \
                         device that is signed in meanwhile: that can stop it. Checking a credit card may make it \
                         shorter. Nobody at Apple can speed it up.",
                    ]),
                ),
                (
                    "Good to know",
                    Points(&[
                        "A recovery key that was once set switches account recovery off. Without that key and without a \
                         signed-in device there may be no way left.",
                        "Stolen Device Protection wants a face or a finger and an hour's wait away from places that the \
                         phone knows. That is not a fault: wait, or do it at home.",
                        "Back in? Look through the list of devices and trusted numbers, remove what is not yours, and \
                         name a recovery contact.",
                        "Names of menus may differ with the system; the screen of the device goes before this card.",
                    ]),
                ),
            ],
        },
        Topic::TwoFactor => Card {
            title: "Two-factor: the code does not come, or is not taken",
            lead: "Find the row of what you see, and try what stands there in that order.",
            parts: &[
                (
                    "What you see",
                    Table(
                        &["SYMPTOM", "TRY"],
                        &[
                            &[
                                "The code is wrong",
                                "Only the newest code counts: type that one, slowly. Is it for this account and this \
                                 app? A code of an authenticator changes every 30 seconds, and needs a clock that sets \
                                 itself.",
                            ],
                            &[
                                "No text message",
                                "Is the number on the screen yours (its last digits)? Flight mode, roaming, a filter \
                                 for unknown senders, Do Not Disturb? Send it again, or choose a call.",
                            ],
                            &[
                                "No mail",
                                "Look in spam and in every inbox of that address. Ask once, then wait some minutes.",
                            ],
                            &[
                                "Nothing on the other device",
                                "Wake it, connect it, allow notifications, update it. Settings, the name, Sign-In & \
                                 Security may show a code without a network too.",
                            ],
                            &[
                                "Authenticator app is gone",
                                "Its own backup on the new phone; another way on the same screen (message, call); a \
                                 one-time code from paper (cross it off); another device; a recovery contact.",
                            ],
                            &[
                                "The number is gone",
                                "The carrier can put the same number on a new SIM, for whoever shows who they are. Then \
                                 the codes come again.",
                            ],
                            &[
                                "A message that you did not ask for",
                                "Do not allow it. Somebody has your password: change it now, and look at the list of \
                                 devices and sign-ins.",
                            ],
                            &["All of it failed", "Account recovery: days (`herstel card account`)."],
                        ],
                    ),
                ),
                (
                    "So that it does not happen again",
                    Boxes(&[
                        "A second trusted number, of somebody at home",
                        "A recovery contact; it can take up to a week before it counts",
                        "One-time codes of other services on paper, not only in the phone",
                        "A backup of the authenticator app, tried once",
                    ]),
                ),
            ],
        },
        Topic::RecoveryContact => Card {
            title: "Recovery contact: somebody who can help you back in",
            lead: "A person you trust, with an Apple device of their own. They can give you a code when you are locked \
                   out of your account. They see nothing of your data, and cannot get in with it.",
            parts: &[
                (
                    "Naming one, while all is well",
                    Steps(&[
                        "Settings, your name, Sign-In & Security, Recovery Contacts, Add. The names may differ with the \
                         system, and all your devices may have to be up to date first.",
                        "The other person has to accept. It can take up to a week before it counts: look in the list \
                         whether it does.",
                        "Write on paper who it is. A list that is only in the phone is gone with the phone.",
                        "Name two: one may have a new phone, or be asleep.",
                    ]),
                ),
                (
                    "Using one",
                    Steps(&[
                        "At iforgot.apple.com or on your new device, choose that you have no code, and then the help of \
                         a contact.",
                        "Call them, or better, sit beside them. A message that asks for a code could come from anybody.",
                        "They open Settings, their name, Sign-In & Security, and there your name, and read the code to \
                         you.",
                        "Type it at once: it holds for about 15 minutes. After that, ask for a new one.",
                        "Go on as the screen says: a new password comes next.",
                    ]),
                ),
                (
                    "Its limits",
                    Points(&[
                        "It is one proof, not all: you still need the name of your account, and often the telephone \
                         number.",
                        "Who was not named before cannot be named now.",
                        "Children and some managed accounts may not be taken as a contact; the device says so.",
                        "A contact who left their own account cannot help. Look at the list once a year.",
                    ]),
                ),
                (
                    "If you are the contact",
                    Points(&[
                        "Give a code only to somebody whose voice you know, in a call that you made or with them beside \
                         you. Not to \"Apple\", not to their \"bank\", not by text message.",
                    ]),
                ),
            ],
        },
        Topic::SupportPin => Card {
            title: "Support PIN: showing Apple Support that it is you",
            lead: "When you talk with Apple about your account, they may want to know that it is yours. You show that \
                   with a PIN that you make yourself, or with a tap on your device. Never with a password.",
            parts: &[
                (
                    "With a PIN",
                    Steps(&[
                        "Begin the conversation yourself, from support.apple.com or the Apple Support app.",
                        "Type account.apple.com into a browser yourself, and sign in.",
                        "Look for Support PIN and make one: four digits, with the time until which they hold. Where it \
                         stands on the page may differ.",
                        "Give it in the conversation that you began. It works once; the next conversation takes a new \
                         one.",
                    ]),
                ),
                (
                    "With a tap",
                    Points(&[
                        "A device that is signed in can get the question whether it is you who talks with Apple. \
                         Confirm only during a conversation that you began, and that is going on now.",
                        "In any other case tap Don't Confirm. Then hang up, and change your password: somebody is at it.",
                    ]),
                ),
                (
                    "What it cannot do",
                    Points(&[
                        "It does not sign anybody in, and does not replace a password or a code.",
                        "It does not make account recovery shorter.",
                        "It takes no passcode and no Activation Lock off a device.",
                        "No access to the account at all? Then there is no PIN either: `herstel card account`.",
                    ]),
                ),
                (
                    "Signs of a swindle",
                    Boxes(&[
                        "They called you, or a pop-up gave you the number",
                        "There is a hurry, or something bad will happen today",
                        "They want the code that just came in, or the recovery key",
                        "They want to look along on your screen, or to be paid in gift cards",
                    ]),
                ),
                (
                    "",
                    Text(
                        "One tick is enough: hang up. The PIN is the only number that may be read out, and only to Apple, whom you called.",
                    ),
                ),
            ],
        },
        Topic::Sim => Card {
            title: "SIM PIN, PUK and passcode: three locks, three keys",
            lead: "People say \"the PIN\" for all of them. Find out first which one is asked: the wrong key in the \
                   wrong lock costs tries.",
            parts: &[
                (
                    "Which one is it?",
                    Table(
                        &["LOCK", "HOW TO TELL", "WHO CAN HELP"],
                        &[
                            &[
                                "Passcode",
                                "On the lock screen, and after each start. Four or six digits, or letters.",
                                "Nobody can look it up: `herstel card lockout`",
                            ],
                            &[
                                "SIM PIN",
                                "The screen names the SIM: \"SIM Locked\", \"Enter PIN\". Four to eight digits. Comes \
                                 back after each start.",
                                "The carrier; the card that the SIM came in",
                            ],
                            &["PUK", "Asked after 3 wrong SIM PINs. Eight digits.", "The carrier only"],
                        ],
                    ),
                ),
                (
                    "From cheap to dear",
                    Steps(&[
                        "Does it stand in the way of setting up or restoring? Take the SIM out, or go on over Wi-Fi.",
                        "Look for the PIN on the plastic card or in the letter of the carrier. Do not guess: after 3 \
                         wrong ones the SIM wants its PUK.",
                        "PUK: in the carrier's app or on its site, at its desk, or by telephone, with proof of who you \
                         are. With it you set a new PIN.",
                        "After 10 wrong PUKs the SIM is dead for good. The carrier gives a new one with the same number.",
                    ]),
                ),
                (
                    "Good to know",
                    Points(&[
                        "The tries are counted in the SIM. Another phone or a restore does not give them back.",
                        "A restore by computer leaves an eSIM in place. Erasing in Settings asks whether it may go: keep \
                         it, unless the phone is sold.",
                        "With a new SIM for the old number the codes of the Apple Account come again. Do this before \
                         account recovery: it is hours against days.",
                        "A lost phone: have the carrier block the SIM, but order the new one at the same time.",
                        "A phone that is tied to one carrier is something else again; that carrier lifts it.",
                        "The SIM PIN protects the number, and with it your codes. Set one of your own, and write it on \
                         paper.",
                    ]),
                ),
            ],
        },
        Topic::ActivationLock => Card {
            title: "Activation Lock: the ways there are, and a letter for Apple",
            lead: "After an erase the screen asks for an Apple Account, often with a hint such as j*****@icloud.com. \
                   Only its owner takes this lock off, or Apple with proof of purchase. Herstel does not, and never \
                   will: no start around the setup, no changed numbers, no other servers.",
            parts: &[
                (
                    "From cheap to dear",
                    Steps(&[
                        "It is your account: type it. No password any more: `herstel card account`. The passcode that \
                         the device had may be taken too, where the screen offers it.",
                        "A previous owner's: they can remove it from afar, at iCloud.com/find, from their list of devices. \
                         No password has to be given away.",
                        "A company's or school's: `herstel card managed`.",
                        "Nobody can be reached: al-support.apple.com, with this sheet. Days to weeks. The device gets \
                         erased, and Apple may say no.",
                        "Reported missing, or put in Lost Mode by somebody else: nobody may help. Bring it to the police.",
                    ]),
                ),
                (
                    "What Apple wants to see",
                    Boxes(&[
                        "The first receipt or invoice of a shop; a note between two people is not enough",
                        "The serial number or IMEI is on it, and the same as on the device",
                        "It is not in Lost Mode, not reported missing, not managed",
                        "I know that everything on it will be erased",
                    ]),
                ),
                (
                    "To Apple: please take Activation Lock off my device",
                    Blanks(&[
                        &[("Device", Model)],
                        &[("Serial", Serial), ("IMEI", Imei)],
                        &[("Shop", Pen), ("Town", Pen)],
                        &[("Date", Pen), ("Price", Pen)],
                        &[("Receipt number", Pen)],
                        &[("Name", Pen)],
                        &[("Address", Pen)],
                        &[("Telephone", Pen), ("Mail", Pen)],
                        &[("Case number of Apple", Pen)],
                        &[("Date today", Pen), ("Signature", Pen)],
                    ]),
                ),
            ],
        },
        Topic::Lockout => Card {
            title: "Too many wrong passcodes",
            lead: "Stop typing. Every further wrong code makes the wait longer, and the last ones may erase it.",
            parts: &[
                (
                    "Try first: nothing is lost by it",
                    Steps(&[
                        "Was the code changed in the last 72 hours? From iOS 17 on the old one still opens it: Forgot Passcode?, \
                         Enter Previous Passcode.",
                        "Think on paper: codes of other devices, of a partner, of a child; a sealed envelope; six digits \
                         where it was four. Is the keyboard the right one, the glass clean and dry?",
                        "Managed by a company or school? They can clear it: `herstel card managed`.",
                        "A computer that it trusts? `herstel triage` says whether a backup is still possible.",
                        "Then `herstel triage`: which way erases it, and what comes back.",
                    ]),
                ),
                ("How long it may make you wait", Waits),
                (
                    "Good to know",
                    Points(&[
                        "The time on its own screen counts. This table may be wrong for your device.",
                        "Do not restart it: the wait begins anew, and until the code is typed no computer gets a backup.",
                        "The same wrong code typed again is not counted twice.",
                        "With Erase Data on it erases itself at the 10th or 11th wrong code.",
                        "No program takes the code off and keeps the data. Who sells that sells an erase.",
                    ]),
                ),
            ],
        },
        Topic::Managed => Card {
            title: "Managed by a company or a school",
            lead: "The organisation decides about this device. Often it can help without any loss, so ask before \
                   anything is erased.",
            parts: &[
                (
                    "How to tell",
                    Points(&[
                        "Settings says at the top that it is supervised or managed, and by whom.",
                        "After an erase the setup shows Remote Management, with the name of the organisation.",
                        "A computer is refused before anybody can tap Trust: a profile may forbid it.",
                        "The lock screen often names the owner or a help desk.",
                    ]),
                ),
                (
                    "Who can do what",
                    Table(
                        &["TROUBLE", "WHO", "WHAT IS LOST"],
                        &[
                            &[
                                "Passcode forgotten",
                                "Its administrator sends the order to clear it; the device has to be online",
                                "Nothing",
                            ],
                            &[
                                "The same, set up with Apple Configurator",
                                "The computer that supervises it, if it kept the token for this",
                                "Nothing",
                            ],
                            &[
                                "Activation Lock of the organisation",
                                "Its administrator: there is a code for this device in their system",
                                "Nothing more",
                            ],
                            &[
                                "To be erased",
                                "Its administrator, from afar; or here, on their order",
                                "All that is on it",
                            ],
                            &[
                                "Remote Management comes back",
                                "The organisation only: it has to release the device from its list at Apple",
                                "Nothing",
                            ],
                        ],
                    ),
                ),
                (
                    "What to do",
                    Steps(&[
                        "Write down the serial number (`herstel info`, or the receipt) and what the screen says.",
                        "Ask the help desk of the organisation, and give the serial number.",
                        "In a shop: work only on a written order of the organisation, not of who carries the phone.",
                        "An erase does not end it: a device that is enrolled by its serial number enrols again at each \
                         setup.",
                    ]),
                ),
                (
                    "Bought second-hand",
                    Points(&[
                        "Still managed: the seller has to have it released, or take it back. Until then it is not \
                         yours alone: the organisation can erase or lock it from afar.",
                        "Before paying: erase it in front of the seller, set it up over Wi-Fi, and see that neither \
                         Remote Management nor Activation Lock appears.",
                        "Herstel takes no management off.",
                    ]),
                ),
            ],
        },
        Topic::BeforeRepair => Card {
            title: "Before the repair",
            lead: "For the customer to do, and for the shop to write down. Each keeps a copy.",
            parts: &[
                (
                    "The customer",
                    Boxes(&[
                        "A backup of today, looked at (`herstel backup`, iCloud, a computer)",
                        "The passcode stays with me: on no paper, on no bag; I type it if needed",
                        "Find My: may stay on with Repair State (from iOS 17.5); older systems: off",
                        "Stolen Device Protection off, done at home; elsewhere it takes an hour",
                        "SIM out; eSIM: carrier known. Apple Pay: cards taken out of Wallet",
                        "I know my Apple Account and password, and get its codes without this phone",
                    ]),
                ),
                (
                    "The shop",
                    Blanks(&[
                        &[("Ticket", Pen), ("Date, time", Pen)],
                        &[("Customer", Pen), ("Telephone", Pen)],
                        &[("Model, colour", Model), ("Capacity", Capacity)],
                        &[("Serial", Serial), ("IMEI", Imei)],
                        &[("System", System), ("Battery %", Battery)],
                        &[("Starts? Mode", Pen), ("Find My, managed", Pen)],
                        &[("Complaint", Pen)],
                        &[("Came with (case, cable)", Pen)],
                    ]),
                ),
                (
                    "",
                    Boxes(&[
                        "Photos of front, back, edges, port, and of the screen switched on",
                        "Seen: cracks, bends, water marks, missing screws, parts not Apple's",
                    ]),
                ),
                ("", Blanks(&[&[("Remarks", Pen)]])),
                (
                    "On arrival",
                    Points(&[
                        "Screen, draw a ring: starts / asks for the code / logo / cable and computer / dark.",
                        "Dark: half an hour on a wall charger before it is called dead.",
                        "\"Data Recovery\", or swipe to upgrade: the customer types the passcode once, before all else.",
                        "Restarts about every 3 minutes: often a sensor or a cable inside, after an earlier repair.",
                    ]),
                ),
                (
                    "Consent",
                    Boxes(&[
                        "I own this device, or act for its owner",
                        "It may be erased if the repair needs it: I have a backup, or I do without",
                        "It may not be erased: call me first",
                        "I know that a repair can lose data, and that used parts may be locked",
                    ]),
                ),
                ("", Blanks(&[&[("Customer", Pen), ("Date", Pen)], &[("For the shop", Pen), ("Back on", Pen)]])),
            ],
        },
    }
}
