//! The keys of a model, in order, as data for whoever tells a person.

use crate::event::batch::Press;
use crate::facts::models::Model;
use crate::guide::{Aim, Layout, Start, Until, recipe, words};

/// How this model comes into DFU mode by hand; empty where it has no keys for that.
pub fn dfu(model: &Model) -> Vec<Press> {
    let layout = Layout::of(model);
    let steps = recipe(layout, Aim::Dfu, Start::On).map(|recipe| recipe.steps).unwrap_or_default();
    let press = |step: &crate::guide::Step| Press {
        keys: step.keys.iter().map(|key| layout.word(*key).to_owned()).collect(),
        seconds: if step.until == Until::Tap { 0 } else { words::nominal(step.until) },
        black: matches!(step.until, Until::Black { .. }),
    };
    steps.iter().filter(|step| !step.keys.is_empty()).map(press).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::models;
    use crate::ids::Ecid;
    use crate::say::{self, Lang};

    #[test]
    fn the_keys_of_a_model_in_order() {
        let presses = dfu(models::by_nickname("iphone13").unwrap());
        let told: Vec<_> = presses.iter().map(|p| (p.keys.join("+"), p.seconds, p.black)).collect();
        let told: Vec<_> = told.iter().map(|(keys, seconds, black)| (keys.as_str(), *seconds, *black)).collect();
        let wanted = [
            ("volume-up", 0, false),
            ("volume-down", 0, false),
            ("side", 10, true),
            ("side+volume-down", 5, false),
            ("volume-down", 13, false),
        ];
        assert_eq!(told, wanted);
        assert!(dfu(models::by_product(&crate::ids::ProductType::new("AppleTV6,2")).unwrap()).is_empty(), "no keys");
    }

    #[test]
    fn what_is_said_of_every_model_fits_below_its_row() {
        for model in models::all() {
            for lang in [Lang::En, Lang::Nl] {
                let presses = dfu(model);
                let said = say::to_dfu(lang, &presses, Some(Ecid(0x126D_0E81_1000_0001)));
                let lines = say::wrapped(&said, 70);
                assert!(lines.len() <= 6 && !said.contains('?'), "{}: {lines:#?}", model.name);
                assert!(said.contains("`herstel guide dfu -d 0x126D0E8110000001`"), "{said}");
            }
        }
    }
}
