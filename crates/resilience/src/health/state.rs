//! Whether an endpoint is healthy, by its checks: pure.

/// What the checks of an endpoint came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It answers its checks.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl Health {
    /// Whether this is [`Health::Healthy`].
    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Healthy)
    }
}

/// Changes its mind after so many checks in a row that speak against it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    up: u32,
    down: u32,
    health: Health,
    /// How many checks in a row spoke against `health`.
    against: u32,
}

impl Judge {
    pub(super) const fn new(up: u32, down: u32, health: Health) -> Self {
        Self {
            up,
            down,
            health,
            against: 0,
        }
    }

    pub(super) const fn health(&self) -> Health {
        self.health
    }

    pub(super) const fn against(&self) -> u32 {
        self.against
    }

    /// Takes in one check. Says whether that changed the health.
    pub(super) fn observe(&mut self, passed: bool) -> bool {
        let (needed, other) = match (self.health, passed) {
            // ## Healthy => Healthy, Unhealthy => Unhealthy
            (Health::Healthy, true) | (Health::Unhealthy, false) => {
                self.against = 0;
                return false;
            }
            // ## Healthy => (Healthy | Unhealthy)
            (Health::Healthy, false) => (self.down, Health::Unhealthy),
            // ## Unhealthy => (Unhealthy | Healthy)
            (Health::Unhealthy, true) => (self.up, Health::Healthy),
        };
        self.against += 1;
        let changes = self.against >= needed;
        if changes {
            *self = Self::new(self.up, self.down, other);
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The health after each check, from `health` on, with thresholds 2 up and 3 down.
    fn run(health: Health, checks: &str) -> String {
        let mut judge = Judge::new(2, 3, health);
        let observe = |check: char| {
            let before = judge.health();
            let changed = judge.observe(check == '+');
            assert_eq!(changed, judge.health() != before);
            if judge.health().is_healthy() {
                'h'
            } else {
                'u'
            }
        };
        checks.chars().map(observe).collect()
    }

    #[test]
    fn three_failures_in_a_row_take_it_down_and_two_passes_bring_it_up() {
        assert_eq!(run(Health::Healthy, "---++"), "hhuuh");
        assert_eq!(run(Health::Unhealthy, "++---"), "uhhhu");
    }

    #[test]
    fn a_check_that_speaks_for_it_starts_the_count_anew() {
        assert_eq!(run(Health::Healthy, "--+--+---"), "hhhhhhhhu");
        assert_eq!(run(Health::Unhealthy, "+-+-++"), "uuuuuh");
    }
}
