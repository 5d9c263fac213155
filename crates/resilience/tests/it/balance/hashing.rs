//! Pickers that go by a key.

use super::*;

type Key = fn(&u64) -> u64;

fn hash_services(
    list: &[Endpoint],
) -> (Balance<Named, Maglev<Key>>, Balance<Named, HashRing<Key>>) {
    let key: Key = |key| *key;
    (
        named(Maglev::new(key), list),
        named(HashRing::new(key), list),
    )
}

fn owners<P: Picker<u64> + Send + Sync + 'static>(
    service: &Balance<Named, P>,
    list: &[Endpoint],
) -> Vec<String> {
    let mut service = service.clone();
    (0..20_000_u64)
        .map(|key| list[call(&mut service, key)].name().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn hash_churn_is_at_most_one_and_a_half_nth() {
    for n in [2, 5, 10, 50] {
        let all = endpoints(&vec![1; n + 1]);
        let mut fewer = all.clone();
        fewer.remove(n / 2);
        // Whatever the order.
        fewer.reverse();
        let (maglev, ring) = hash_services(&all);
        let (maglev_fewer, ring_fewer) = hash_services(&fewer);
        for (name, before, after) in [
            (
                "maglev",
                owners(&maglev, &all),
                owners(&maglev_fewer, &fewer),
            ),
            ("ring", owners(&ring, &all), owners(&ring_fewer, &fewer)),
        ] {
            let moved = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            let share = moved as f64 / before.len() as f64;
            let most = 1.5 / (n + 1) as f64;
            assert!(share <= most, "{name} over {}: {share} > {most}", n + 1);
            let lost = all[n / 2].name();
            let had = before.iter().filter(|owner| *owner == lost).count();
            if name == "ring" {
                assert_eq!(moved, had, "and none between two others");
            }
            let fair = before.len() as f64 / (n + 1) as f64;
            assert!(
                (had as f64 / fair - 1.0).abs() < 0.35,
                "{name}: {had} of {fair}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_keys_of_an_unfit_owner_spread_and_come_back() {
    let list = endpoints(&[1; 5]);
    let (maglev, ring) = hash_services(&list);
    let before = (owners(&maglev, &list), owners(&ring, &list));
    list[2].set_unfit(Unfit::Ejected, true);
    for (before, during) in [
        (&before.0, owners(&maglev, &list)),
        (&before.1, owners(&ring, &list)),
    ] {
        let moved: Vec<_> = before
            .iter()
            .zip(&during)
            .filter(|(_, now)| {
                assert_ne!(*now, "e2");
                true
            })
            .filter(|(a, b)| a != b)
            .collect();
        assert!(moved.iter().all(|(was, _)| *was == "e2"));
        for other in ["e0", "e1", "e3", "e4"] {
            let took = moved.iter().filter(|(_, now)| *now == other).count();
            assert!(
                took * 10 > moved.len(),
                "{other} took {took} of {}",
                moved.len()
            );
        }
    }
    list[2].set_unfit(Unfit::Ejected, false);
    assert_eq!((owners(&maglev, &list), owners(&ring, &list)), before);
}

#[test]
fn stable_hashes_are_for_bytes_and_text() {
    assert_eq!(stable_hash("ann"), stable_hash(b"ann"));
}
