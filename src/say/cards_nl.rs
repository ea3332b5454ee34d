//! De kaarten in het Nederlands.

use super::cards::{Body::*, Card, Fill::*, Topic};

pub(super) fn card(topic: Topic) -> Card {
    match topic {
        Topic::Account => Card {
            title: "Apple Account: weer naar binnen als het wachtwoord weg is",
            lead: "Begin bovenaan: de eerste wegen kosten minuten, de laatste dagen. Wis niets voordat dit klaar is: met \
                   Zoek mijn aan vraagt een gewist toestel om juist dit account.",
            parts: &[
                (
                    "Eerst",
                    Points(&[
                        "Welk account is het? Kijk op een ander toestel van de eigenaar (Instellingen, de naam bovenaan), \
                         op bonnetjes van de App Store en in oude mail. Op iforgot.apple.com kun je zoeken op naam en \
                         mailadres.",
                        "Houd het telefoonnummer in de lucht. De simkaart met het vertrouwde nummer is nu meer waard dan \
                         het toestel.",
                    ]),
                ),
                (
                    "Van goedkoop naar duur",
                    Steps(&[
                        "Op een toestel dat nog is ingelogd: Instellingen, de naam, Inloggen en beveiliging, Wijzig \
                         wachtwoord. Het vraagt om de toegangscode van dat toestel zelf. Minuten.",
                        "iforgot.apple.com, het liefst vanaf een computer en netwerk die het account kent. Ingelogde \
                         toestellen krijgen een melding, het vertrouwde nummer krijgt een code. Minuten.",
                        "De app Apple Support op de iPhone van iemand die je vertrouwt, of in een Apple Store: daarmee stel je ook het wachtwoord van een ander account opnieuw in. Op die telefoon blijft niets van jou \
                         achter.",
                        "Een herstelcontact (`herstel card recovery-contact`), of de herstelsleutel op papier als die \
                         ooit is gemaakt.",
                        "Accountherstel, de laatste weg: een paar dagen of langer. Apple mailt wanneer het zover is. \
                         Gebruik zolang geen toestel dat is ingelogd, want dat kan het afbreken. Een controle van een \
                         creditcard maakt het soms korter. Niemand bij Apple kan het versnellen.",
                    ]),
                ),
                (
                    "Goed om te weten",
                    Points(&[
                        "Wie ooit een herstelsleutel heeft ingesteld, heeft geen accountherstel meer. Zonder die sleutel \
                         en zonder ingelogd toestel is er misschien geen weg over.",
                        "\"Bescherming voor gestolen apparaat\" wil buiten bekende plekken een gezicht of vinger en een \
                         uur geduld. Dat is geen storing: wacht, of doe het thuis.",
                        "Weer binnen? Loop de lijst met toestellen en vertrouwde nummers na, haal weg wat niet van jou \
                         is, en stel een herstelcontact in.",
                        "Menu's kunnen per systeem anders heten; het scherm van het toestel gaat voor deze kaart.",
                    ]),
                ),
            ],
        },
        Topic::TwoFactor => Card {
            title: "Twee factoren: de code komt niet, of wordt niet aangenomen",
            lead: "Zoek de regel met wat je ziet, en probeer wat ernaast staat, in die volgorde.",
            parts: &[
                (
                    "Wat je ziet",
                    Table(
                        &["WAT", "PROBEER"],
                        &[
                            &[
                                "De code is fout",
                                "Alleen de nieuwste code telt: typ die, rustig. Hoort hij bij dit account en deze app? \
                                 Een code uit een authenticator wisselt elke 30 seconden, en wil een klok die zichzelf \
                                 gelijkzet.",
                            ],
                            &[
                                "Geen sms",
                                "Is het nummer op het scherm van jou (de laatste cijfers)? Vliegtuigmodus, roaming, een \
                                 filter voor onbekende afzenders, Niet storen? Laat hem opnieuw sturen, of laat je bellen.",
                            ],
                            &[
                                "Geen mail",
                                "Kijk bij spam en in elke inbox van dat adres. Vraag één keer, en wacht dan even.",
                            ],
                            &[
                                "Niets op het andere toestel",
                                "Maak het wakker, geef het internet, sta meldingen toe, werk het bij. Bij Instellingen, \
                                 de naam, Inloggen en beveiliging staat soms ook zonder netwerk een code.",
                            ],
                            &[
                                "De authenticator is weg",
                                "De reservekopie ervan op de nieuwe telefoon; een andere weg op hetzelfde scherm (sms, \
                                 bellen); een eenmalige code van papier (streep hem door); een ander toestel; een \
                                 herstelcontact.",
                            ],
                            &[
                                "Het nummer is weg",
                                "De provider zet hetzelfde nummer op een nieuwe simkaart voor wie zich kan legitimeren. \
                                 Dan komen de codes weer.",
                            ],
                            &[
                                "Een melding waar je niet om vroeg",
                                "Sta het niet toe. Iemand heeft je wachtwoord: wijzig het nu, en bekijk de lijst met \
                                 toestellen en inlogpogingen.",
                            ],
                            &["Niets van dit alles hielp", "Accountherstel: dagen (`herstel card account`)."],
                        ],
                    ),
                ),
                (
                    "Zodat het niet nog eens gebeurt",
                    Boxes(&[
                        "Een tweede vertrouwd nummer, van iemand thuis",
                        "Een herstelcontact; het kan een week duren voordat dat meetelt",
                        "Eenmalige codes van andere diensten op papier, niet alleen in de telefoon",
                        "Een reservekopie van de authenticator, één keer uitgeprobeerd",
                    ]),
                ),
            ],
        },
        Topic::RecoveryContact => Card {
            title: "Herstelcontact: iemand die je weer binnen kan helpen",
            lead: "Iemand die je vertrouwt en die zelf een toestel van Apple heeft, kan je een code geven als je niet meer in je account komt. Die ziet niets van je gegevens, en komt er zelf niet mee binnen.",
            parts: &[
                (
                    "Instellen, zolang alles goed gaat",
                    Steps(&[
                        "Instellingen, je naam, Inloggen en beveiliging, Herstelcontacten, Voeg toe. Het kan per systeem \
                         anders heten, en soms moeten al je toestellen eerst bijgewerkt zijn.",
                        "De ander moet ja zeggen. Het kan een week duren voordat het meetelt: kijk in de lijst of het zo \
                         is.",
                        "Schrijf op papier wie het is. Een lijst die alleen in de telefoon staat, is met de telefoon weg.",
                        "Neem er twee: de een heeft net een nieuwe telefoon, of slaapt.",
                    ]),
                ),
                (
                    "Gebruiken",
                    Steps(&[
                        "Kies op iforgot.apple.com of op je nieuwe toestel dat je geen code hebt, en dan de hulp van een \
                         contact.",
                        "Bel die persoon, of beter: ga ernaast zitten. Een berichtje dat om een code vraagt kan van \
                         iedereen komen.",
                        "Die opent Instellingen, de eigen naam, Inloggen en beveiliging, daar jouw naam, en leest de code \
                         voor.",
                        "Typ hem meteen: hij geldt ongeveer 15 minuten. Daarna vraag je een nieuwe.",
                        "Ga verder zoals het scherm zegt: nu komt een nieuw wachtwoord.",
                    ]),
                ),
                (
                    "Wat het niet kan",
                    Points(&[
                        "Het is één bewijs, niet alles: je hebt nog steeds de naam van je account nodig, en vaak het \
                         telefoonnummer.",
                        "Wie er nog niet in stond, kan er nu niet meer in.",
                        "Kinderen en sommige beheerde accounts kunnen misschien geen contact zijn; het toestel zegt het.",
                        "Een contact dat zelf het account kwijt is, kan niet helpen. Kijk de lijst elk jaar na.",
                    ]),
                ),
                (
                    "Als jij het contact bent",
                    Points(&[
                        "Geef een code alleen aan iemand van wie je de stem kent, als jij hebt gebeld of naast elkaar \
                         zit. Niet aan \"Apple\", niet aan \"de bank\", niet per sms.",
                    ]),
                ),
            ],
        },
        Topic::SupportPin => Card {
            title: "Support-pincode: Apple laten zien dat jij het bent",
            lead: "Praat je met Apple over je account, dan willen ze soms weten of het van jou is. Dat laat je zien met \
                   een pincode die je zelf maakt, of met een tik op je toestel. Nooit met een wachtwoord.",
            parts: &[
                (
                    "Met een pincode",
                    Steps(&[
                        "Begin het gesprek zelf, via support.apple.com of de app Apple Support.",
                        "Typ zelf account.apple.com in een browser, en log in.",
                        "Zoek de Support-pincode en maak er een: vier cijfers, met de tijd tot wanneer ze gelden. Waar \
                         het op de pagina staat, kan verschillen.",
                        "Geef hem in het gesprek dat jij begon. Hij werkt één keer; voor een volgend gesprek maak je een \
                         nieuwe.",
                    ]),
                ),
                (
                    "Met een tik",
                    Points(&[
                        "Een ingelogd toestel kan vragen of jij het bent die met Apple praat. Bevestig dat alleen tijdens \
                         een gesprek dat jij begon en dat nu bezig is.",
                        "Tik anders op \"Bevestig niet\". Hang op, en wijzig je wachtwoord: er zit iemand aan.",
                    ]),
                ),
                (
                    "Wat het niet kan",
                    Points(&[
                        "Je logt er niet mee in, en het vervangt geen wachtwoord of code.",
                        "Accountherstel wordt er niet korter van.",
                        "Het haalt geen toegangscode en geen activeringsslot van een toestel.",
                        "Helemaal niet meer in het account? Dan is er ook geen pincode: `herstel card account`.",
                    ]),
                ),
                (
                    "Zo herken je oplichters",
                    Boxes(&[
                        "Zij belden jou, of het nummer stond in een pop-up",
                        "Er is haast bij, of er gebeurt vandaag iets ergs",
                        "Ze willen de code die net binnenkwam, of de herstelsleutel",
                        "Ze willen meekijken op je scherm, of betaald worden met cadeaukaarten",
                    ]),
                ),
                (
                    "",
                    Text(
                        "Eén kruisje is genoeg: hang op. De pincode is het enige getal dat je mag voorlezen, en alleen aan Apple, als jij zelf hebt gebeld.",
                    ),
                ),
            ],
        },
        Topic::Sim => Card {
            title: "Simpincode, puk en toegangscode: drie sloten, drie sleutels",
            lead: "Iedereen zegt \"de pincode\". Zoek eerst uit welke er gevraagd wordt: de verkeerde sleutel in het \
                   verkeerde slot kost pogingen.",
            parts: &[
                (
                    "Welke is het?",
                    Table(
                        &["SLOT", "ZO ZIE JE HET", "WIE KAN HELPEN"],
                        &[
                            &[
                                "Toegangscode",
                                "Op het toegangsscherm, en na elke start. Vier of zes cijfers, of letters.",
                                "Niemand kan hem opzoeken: `herstel card lockout`",
                            ],
                            &[
                                "Simpincode",
                                "Het scherm noemt de simkaart: \"Sim vergrendeld\", \"Voer pincode in\". Vier tot acht \
                                 cijfers. Komt na elke start terug.",
                                "De provider; het kaartje waar de sim in zat",
                            ],
                            &["Pukcode", "Gevraagd na 3 foute simpincodes. Acht cijfers.", "Alleen de provider"],
                        ],
                    ),
                ),
                (
                    "Van goedkoop naar duur",
                    Steps(&[
                        "Staat het instellen of herstellen in de weg? Haal de simkaart eruit, of ga verder via wifi.",
                        "Zoek de pincode op het plastic kaartje of in de brief van de provider. Gok niet: na 3 foute wil \
                         de sim de pukcode.",
                        "Pukcode: in de app of op de site van de provider, aan de balie of aan de telefoon, als je kunt \
                         laten zien wie je bent. Daarmee stel je een nieuwe pincode in.",
                        "Na 10 foute pukcodes is de simkaart voorgoed dood. De provider geeft een nieuwe met hetzelfde \
                         nummer.",
                    ]),
                ),
                (
                    "Goed om te weten",
                    Points(&[
                        "De pogingen worden in de simkaart geteld. Een ander toestel of een herstel geeft ze niet terug.",
                        "Herstellen met een computer laat een e-sim staan. Wissen bij Instellingen vraagt of hij weg mag: \
                         houd hem, tenzij het toestel verkocht wordt.",
                        "Met een nieuwe sim voor het oude nummer komen de codes van het Apple Account weer. Doe dat vóór \
                         accountherstel: uren in plaats van dagen.",
                        "Toestel kwijt? Laat de provider de sim blokkeren, maar bestel meteen de nieuwe.",
                        "Een toestel dat vastzit aan één provider (simlock) is weer iets anders; die provider haalt het \
                         eraf.",
                        "De simpincode beschermt je nummer, en zo je codes. Stel er zelf een in, en schrijf hem op papier.",
                    ]),
                ),
            ],
        },
        Topic::ActivationLock => Card {
            title: "Activeringsslot: de wegen die er zijn, en een brief voor Apple",
            lead: "Na het wissen vraagt het scherm om een Apple Account, vaak met een hint zoals j*****@icloud.com. \
                   Alleen de eigenaar daarvan haalt dit slot eraf, of Apple met een aankoopbewijs. Herstel doet het \
                   niet, nu niet en later niet: geen start buiten de configuratie om, geen andere nummers, geen andere \
                   servers.",
            parts: &[
                (
                    "Van goedkoop naar duur",
                    Steps(&[
                        "Het is je eigen account: typ het in. Wachtwoord kwijt: `herstel card account`. Soms mag ook de \
                         toegangscode die het toestel had, als het scherm die aanbiedt.",
                        "Van een vorige eigenaar: die kan het op afstand verwijderen, op iCloud.com/find, uit de eigen lijst \
                         met toestellen. Een wachtwoord hoeft niemand te geven.",
                        "Van een bedrijf of school: `herstel card managed`.",
                        "Niemand te bereiken: al-support.apple.com, met dit blad. Dagen tot weken. Het toestel wordt \
                         gewist, en Apple kan nee zeggen.",
                        "Door een ander als vermist opgegeven of in de Verloren-modus gezet: dan mag niemand helpen. Breng het naar de \
                         politie.",
                    ]),
                ),
                (
                    "Wat Apple wil zien",
                    Boxes(&[
                        "De eerste bon of factuur van een winkel; een briefje tussen twee mensen is te weinig",
                        "Het serienummer of IMEI staat erop, en is hetzelfde als op het toestel",
                        "Het staat niet in de Verloren-modus, is niet vermist en wordt niet beheerd",
                        "Ik weet dat alles wat erop staat wordt gewist",
                    ]),
                ),
                (
                    "Verzoek aan Apple: haal het activeringsslot van mijn toestel",
                    Blanks(&[
                        &[("Toestel", Model)],
                        &[("Serienummer", Serial), ("IMEI", Imei)],
                        &[("Winkel", Pen), ("Plaats", Pen)],
                        &[("Datum", Pen), ("Prijs", Pen)],
                        &[("Nummer van de bon", Pen)],
                        &[("Naam", Pen)],
                        &[("Adres", Pen)],
                        &[("Telefoon", Pen), ("E-mail", Pen)],
                        &[("Zaaknummer van Apple", Pen)],
                        &[("Datum vandaag", Pen), ("Handtekening", Pen)],
                    ]),
                ),
            ],
        },
        Topic::Lockout => Card {
            title: "Te veel foute toegangscodes",
            lead: "Stop met typen. Elke volgende foute code maakt het wachten langer, en de laatste wissen het misschien.",
            parts: &[
                (
                    "Probeer eerst dit: je verliest er niets mee",
                    Steps(&[
                        "Is de code in de laatste 72 uur gewijzigd? Vanaf iOS 17 opent de oude het nog: Code vergeten?, Voer \
                         vorige toegangscode in.",
                        "Denk op papier: codes van andere toestellen, van een partner, van een kind; een verzegelde envelop; \
                         zes cijfers waar het er vier waren. Klopt het toetsenbord, is het glas schoon en droog?",
                        "Beheerd door een bedrijf of school? Die kan de code eraf halen: `herstel card managed`.",
                        "Een computer die het vertrouwt? `herstel triage` zegt of een reservekopie nog kan.",
                        "Daarna `herstel triage`: welke weg het wist, en wat er terugkomt.",
                    ]),
                ),
                ("Hoe lang het je kan laten wachten", Waits),
                (
                    "Goed om te weten",
                    Points(&[
                        "De tijd op het scherm zelf telt. Deze tabel kan voor jouw toestel fout zijn.",
                        "Start het niet opnieuw: het wachten begint dan van voren af aan, en tot iemand de code typt \
                         krijgt geen computer een reservekopie.",
                        "Nog eens dezelfde foute code telt niet dubbel.",
                        "Staat Wis gegevens aan, dan wist het zichzelf bij de 10e of 11e foute code.",
                        "Geen programma haalt de code eraf en laat de gegevens staan. Wie dat verkoopt, verkoopt wissen.",
                    ]),
                ),
            ],
        },
        Topic::Managed => Card {
            title: "Beheerd door een bedrijf of school",
            lead: "De organisatie gaat over dit toestel. Vaak kan die helpen zonder dat er iets verloren gaat: vraag het \
                   dus voordat er iets gewist wordt.",
            parts: &[
                (
                    "Zo zie je het",
                    Points(&[
                        "Bovenaan Instellingen staat dat het onder beheer of toezicht staat, en van wie.",
                        "Na het wissen toont de configuratie \"Beheer op afstand\", met de naam van de organisatie.",
                        "Een computer wordt geweigerd voordat iemand op Vertrouw kan tikken: een profiel kan dat verbieden.",
                        "Op het toegangsscherm staat vaak de eigenaar of een helpdesk.",
                    ]),
                ),
                (
                    "Wie wat kan",
                    Table(
                        &["PROBLEEM", "WIE", "WAT VERLOREN GAAT"],
                        &[
                            &[
                                "Toegangscode vergeten",
                                "De beheerder stuurt de opdracht om hem te wissen; het toestel moet online zijn",
                                "Niets",
                            ],
                            &[
                                "Hetzelfde, ingesteld met Apple Configurator",
                                "De computer die toezicht houdt, als die het token ervoor heeft bewaard",
                                "Niets",
                            ],
                            &[
                                "Activeringsslot van de organisatie",
                                "De beheerder: in hun systeem staat een code voor dit toestel",
                                "Niets meer",
                            ],
                            &[
                                "Het moet gewist worden",
                                "De beheerder, op afstand; of hier, als die het opdraagt",
                                "Alles wat erop staat",
                            ],
                            &[
                                "\"Beheer op afstand\" komt terug",
                                "Alleen de organisatie: die moet het vrijgeven in haar lijst bij Apple",
                                "Niets",
                            ],
                        ],
                    ),
                ),
                (
                    "Wat je doet",
                    Steps(&[
                        "Schrijf het serienummer op (`herstel info`, of de bon), en wat er op het scherm staat.",
                        "Vraag de helpdesk van de organisatie, met het serienummer erbij.",
                        "In een winkel: alleen met een schriftelijke opdracht van de organisatie, niet van wie ermee loopt.",
                        "Wissen maakt er geen eind aan: een toestel dat op serienummer is aangemeld, meldt zich bij elke \
                         configuratie weer aan.",
                    ]),
                ),
                (
                    "Tweedehands gekocht",
                    Points(&[
                        "Nog beheerd: de verkoper moet het laten vrijgeven, of terugnemen. Tot die tijd is het niet \
                         alleen van jou: de organisatie kan het op afstand wissen of op slot zetten.",
                        "Voordat je betaalt: wis het waar de verkoper bij is, stel het in via wifi, en kijk of \"Beheer \
                         op afstand\" en het activeringsslot wegblijven.",
                        "Herstel haalt geen beheer van een toestel.",
                    ]),
                ),
            ],
        },
        Topic::BeforeRepair => Card {
            title: "Vóór de reparatie",
            lead: "Voor de klant om te doen, en voor de winkel om op te schrijven. Ieder houdt een exemplaar.",
            parts: &[
                (
                    "De klant",
                    Boxes(&[
                        "Een reservekopie van vandaag, bekeken (`herstel backup`, iCloud, computer)",
                        "De toegangscode blijft bij mij: op geen papier, op geen zakje; ik typ hem",
                        "Zoek mijn: mag aan blijven met reparatiestatus (vanaf iOS 17.5); ouder: uit",
                        "\"Bescherming voor gestolen apparaat\" uit: thuis; elders duurt het een uur",
                        "Simkaart eruit; e-sim: provider bekend. Apple Pay: kaarten uit Wallet",
                        "Ik ken mijn Apple Account en wachtwoord, en krijg codes zonder dit toestel",
                    ]),
                ),
                (
                    "De winkel",
                    Blanks(&[
                        &[("Bonnummer", Pen), ("Datum, tijd", Pen)],
                        &[("Klant", Pen), ("Telefoon", Pen)],
                        &[("Model, kleur", Model), ("Opslag", Capacity)],
                        &[("Serienummer", Serial), ("IMEI", Imei)],
                        &[("Systeem", System), ("Accu %", Battery)],
                        &[("Start het? Modus", Pen), ("Zoek mijn, beheerd", Pen)],
                        &[("Klacht", Pen)],
                        &[("Erbij (hoesje, kabel)", Pen)],
                    ]),
                ),
                (
                    "",
                    Boxes(&[
                        "Foto's van voor, achter, randen en poort, en van het scherm als het aan is",
                        "Gezien: barsten, buiging, vocht, schroeven weg, onderdelen niet van Apple",
                    ]),
                ),
                ("", Blanks(&[&[("Opmerkingen", Pen)]])),
                (
                    "Bij binnenkomst",
                    Points(&[
                        "Scherm, zet een cirkel: start / vraagt om de code / logo / kabel en computer / donker.",
                        "Donker: eerst een half uur aan een stopcontactlader, dan pas dood verklaren.",
                        "\"Gegevensherstel\", of veeg om bij te werken: de klant typt eerst één keer de toegangscode.",
                        "Herstart ongeveer elke 3 minuten: vaak een sensor of kabeltje, na een eerdere reparatie.",
                    ]),
                ),
                (
                    "Akkoord",
                    Boxes(&[
                        "Het toestel is van mij, of ik handel voor de eigenaar",
                        "Wissen mag als het nodig is: ik heb een reservekopie, of hoef er geen",
                        "Het mag niet gewist worden: bel me eerst",
                        "Een reparatie kan gegevens kosten, en gebruikte onderdelen kunnen op slot zitten",
                    ]),
                ),
                ("", Blanks(&[&[("De klant", Pen), ("Datum", Pen)], &[("Namens de winkel", Pen), ("Klaar op", Pen)]])),
            ],
        },
    }
}
