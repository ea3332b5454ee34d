//! Which generations may go.
//!
//! A pure function over what is known of them, so that its promises can be tested by themselves: the newest good one
//! never goes, nor one that somebody has open, nor anything while there is no good one at all. A damaged generation
//! takes nobody's place: it counts for nothing, and one that is newer than every good one stays, for it may hold the
//! only copy of something. The rules add up: what one of them keeps is kept.

use jiff::{SignedDuration, Timestamp};

/// What is to be kept beside the newest good one. With neither rule everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest good generations.
    pub last: Option<u32>,
    /// All that are not older than so many days.
    pub days: Option<u32>,
}

/// What retention has to know of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub name: String,
    /// When it was made, by its record or else its name.
    pub made: Timestamp,
    /// It can be restored, as far as a look at it tells.
    pub good: bool,
    /// Somebody is reading it.
    pub held: bool,
    /// Bytes of its files, shared ones too; zero where no record says it.
    pub bytes: u64,
}

/// The names of those that may be removed, oldest first. Names sort by age, whatever the clock said.
pub fn retention(generations: &[Standing], now: Timestamp, keep: &Keep) -> Vec<String> {
    if keep.last.is_none() && keep.days.is_none() {
        return vec![];
    }
    let mut order: Vec<&Standing> = generations.iter().collect();
    order.sort_by(|a, b| b.name.cmp(&a.name));
    let has_good = order.iter().any(|each| each.good);
    let mut newer_good = 0u32;
    let mut goes = vec![];
    for each in order {
        let before = newer_good;
        newer_good += u32::from(each.good);
        // The newest good one, and what is newer than it.
        let first = before == 0;
        let counted = keep.last.is_some_and(|last| before < last);
        let young = keep.days.is_some_and(|days| now.duration_since(each.made) <= days_of(days));
        if has_good && !first && !counted && !young && !each.held {
            goes.push(each.name.clone());
        }
    }
    goes.reverse();
    goes
}

fn days_of(days: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: i64 = 86_400;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + day * DAY).unwrap()
    }

    fn one(day: i64, good: bool) -> Standing {
        Standing { name: format!("{day:05}"), made: at(day), good, held: false, bytes: 1 }
    }

    fn gone(all: &[Standing], now: i64, last: Option<u32>, days: Option<u32>) -> Vec<i64> {
        let names = retention(all, at(now), &Keep { last, days });
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn by_count_by_age_and_by_both() {
        let all: Vec<_> = [1, 2, 10, 20, 29].map(|day| one(day, true)).into();
        assert_eq!(gone(&all, 30, Some(2), None), [1, 2, 10]);
        assert_eq!(gone(&all, 30, None, Some(15)), [1, 2, 10]);
        assert_eq!(gone(&all, 30, Some(4), Some(15)), [1], "what one rule keeps is kept");
        assert_eq!(gone(&all, 3000, Some(0), Some(0)), [1, 2, 10, 20], "the newest stays whatever is asked");
        assert_eq!(gone(&all, 30, None, None), [0; 0]);
        assert_eq!(gone(&all, -500, None, Some(1)), [0; 0], "a clock that was set back makes nothing old");
    }

    #[test]
    fn a_damaged_one_takes_nobodys_place() {
        let all = [one(1, true), one(2, true), one(3, false), one(4, true), one(5, false)];
        assert_eq!(gone(&all, 30, Some(2), None), [1], "4 and 2 are the two good ones");
        assert_eq!(gone(&all, 30, Some(1), None), [1, 2, 3], "5 is newer than all that is good");
        let none = [one(1, false), one(2, false)];
        assert_eq!(gone(&none, 30, Some(1), Some(1)), [0; 0]);
    }

    fn standings() -> impl Strategy<Value = Vec<Standing>> {
        proptest::collection::btree_map(0i64..400, (any::<bool>(), any::<bool>(), -3i64..3), 0..24).prop_map(|all| {
            let each = |(day, (good, held, wrong)): (i64, (bool, bool, i64))| Standing {
                held,
                made: at(day + wrong),
                ..one(day, good)
            };
            all.into_iter().map(each).collect()
        })
    }

    proptest! {
        #[test]
        fn the_promises(
            all in standings(),
            shuffle in any::<u64>(),
            now in 0i64..800,
            last in proptest::option::of(0u32..30),
            days in proptest::option::of(0u32..500),
        ) {
            let keep = Keep { last, days };
            let goes = retention(&all, at(now), &keep);
            let is_gone = |each: &&Standing| goes.contains(&each.name);
            let newest_good = all.iter().rfind(|each| each.good);
            prop_assert!(!newest_good.is_some_and(|each| is_gone(&each)));
            prop_assert!(goes.is_empty() || newest_good.is_some());
            prop_assert!(!all.iter().filter(|each| each.held).any(|each| is_gone(&each)));
            prop_assert!(goes.is_sorted());
            if let Some(last) = last {
                let good = all.iter().filter(|each| each.good);
                let stay = good.clone().filter(|each| !is_gone(each)).count();
                prop_assert!(stay >= good.count().min(last as usize));
            }
            if let Some(days) = days {
                let young = |each: &&Standing| at(now).duration_since(each.made) <= days_of(days);
                prop_assert!(!all.iter().filter(young).any(|each| is_gone(&each)));
            }
            // Whoever goes, goes also without the damaged ones that nobody counted: they change nothing for good ones.
            let good: Vec<_> = all.iter().filter(|each| each.good).cloned().collect();
            let good_goes: Vec<_> = goes.iter().filter(|n| good.iter().any(|g| g.name == **n)).cloned().collect();
            prop_assert_eq!(retention(&good, at(now), &keep), good_goes);
            // The order of the list means nothing, and a second time there is nothing left to do.
            let mut other = all.clone();
            if !other.is_empty() {
                let by = (shuffle % other.len() as u64) as usize;
                other.rotate_left(by);
            }
            prop_assert_eq!(&retention(&other, at(now), &keep), &goes);
            let stay: Vec<_> = all.iter().filter(|each| !is_gone(each)).cloned().collect();
            prop_assert_eq!(retention(&stay, at(now), &keep), Vec::<String>::new());
        }
    }
}
