//! What the desk knows, and the rules that its records obey whoever asks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody who buys things.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Customer {
    /// `cus_` and a number.
    pub id: String,
    /// What to call them.
    pub name: String,
    /// Where to write to them.
    pub email: String,
}

/// Something that a customer bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// `ord_` and a number.
    pub id: String,
    /// Who bought it.
    pub customer_id: String,
    /// What was bought.
    pub item: String,
    /// What was paid, in whole euros.
    pub total: u32,
    /// How much of that was given back.
    pub refunded: u32,
    /// The day of the order, `YYYY-MM-DD`.
    pub placed_on: String,
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refund {
    /// `ref_` and a number.
    pub id: String,
    /// For which order.
    pub order_id: String,
    /// How much, in whole euros.
    pub amount: u32,
    /// Why.
    pub reason: String,
}

/// Why the desk does not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such customer.
    #[error("there is no customer `{0}`")]
    UnknownCustomer(String),
    /// There is no such order.
    #[error("there is no order `{0}`")]
    UnknownOrder(String),
    /// A refund of nothing.
    #[error("a refund is at least 1 euro")]
    NothingToRefund,
    /// A refund without a reason.
    #[error("a refund needs a reason")]
    NoReason,
    /// More than what is left of the order.
    #[error("{asked} euros is more than the {left} that are left of order `{order_id}`")]
    MoreThanLeft {
        /// Which order.
        order_id: String,
        /// How much was asked for.
        asked: u32,
        /// How much could be given back.
        left: u32,
    },
}

/// All that the desk holds.
#[derive(Debug, Clone)]
pub struct Records {
    // INVARIANT: the keys are the ids; every order and refund names a record that exists; an order's `refunded` is
    // the sum of its refunds and never more than its total.
    customers: BTreeMap<String, Customer>,
    orders: BTreeMap<String, Order>,
    refunds: BTreeMap<String, Refund>,
    last_refund: u32,
}

impl Records {
    /// The twelve records that every desk begins with.
    pub fn seeded() -> Self {
        let customers = [
            ("cus_1", "Nora", "nora@example.com"),
            ("cus_2", "Jonas", "jonas@example.com"),
            ("cus_3", "Mei", "mei@example.com"),
            ("cus_4", "Sami", "sami@example.com"),
        ];
        let orders = [
            ("ord_1001", "cus_1", "espresso machine", 480, "2026-10-02"),
            ("ord_1002", "cus_1", "coffee beans, 2 kg", 44, "2026-10-19"),
            ("ord_1003", "cus_2", "desk lamp", 89, "2026-09-27"),
            ("ord_1004", "cus_2", "office chair", 310, "2026-11-03"),
            (
                "ord_1005",
                "cus_3",
                "noise-cancelling headphones",
                249,
                "2026-11-08",
            ),
            ("ord_1006", "cus_3", "travel adapter", 19, "2026-11-08"),
            ("ord_1007", "cus_4", "e-bike battery", 650, "2026-08-15"),
            ("ord_1008", "cus_4", "bicycle bell", 12, "2026-11-12"),
        ];
        Self {
            customers: customers
                .map(|(id, name, email)| (id.to_owned(), customer(id, name, email)))
                .into(),
            orders: orders
                .map(|(id, customer_id, item, total, placed_on)| {
                    (
                        id.to_owned(),
                        order(id, customer_id, item, total, placed_on),
                    )
                })
                .into(),
            refunds: BTreeMap::new(),
            last_refund: 0,
        }
    }

    /// How many customers and orders there are.
    pub fn count(&self) -> (usize, usize) {
        (self.customers.len(), self.orders.len())
    }

    /// The customers whose id, name or address contains `query`, whatever its case; at most 20.
    pub fn find_customers(&self, query: &str) -> Vec<Customer> {
        let wanted = query.to_lowercase();
        let matches = |text: &str| text.to_lowercase().contains(&wanted);
        let found = self
            .customers
            .values()
            .filter(|it| matches(&it.id) || matches(&it.name) || matches(&it.email));
        found.take(20).cloned().collect()
    }

    /// Every customer.
    pub fn customers(&self) -> Vec<Customer> {
        self.customers.values().cloned().collect()
    }

    /// The orders of one customer.
    pub fn orders_of(&self, customer_id: &str) -> Result<Vec<Order>, Refusal> {
        if !self.customers.contains_key(customer_id) {
            return Err(Refusal::UnknownCustomer(customer_id.to_owned()));
        }
        Ok(self
            .orders
            .values()
            .filter(|it| it.customer_id == customer_id)
            .cloned()
            .collect())
    }

    /// One order and its refunds.
    pub fn order(&self, order_id: &str) -> Result<(Order, Vec<Refund>), Refusal> {
        let order = self
            .orders
            .get(order_id)
            .ok_or_else(|| Refusal::UnknownOrder(order_id.to_owned()))?;
        Ok((
            order.clone(),
            self.refunds
                .values()
                .filter(|it| it.order_id == order_id)
                .cloned()
                .collect(),
        ))
    }

    /// Gives money back: never more than is left of the order.
    pub fn refund(
        &mut self,
        order_id: &str,
        amount: u32,
        reason: &str,
    ) -> Result<(Refund, Order), Refusal> {
        let order = self
            .orders
            .get_mut(order_id)
            .ok_or_else(|| Refusal::UnknownOrder(order_id.to_owned()))?;
        if amount == 0 {
            return Err(Refusal::NothingToRefund);
        }
        if reason.trim().is_empty() {
            return Err(Refusal::NoReason);
        }
        let left = order.total - order.refunded;
        if amount > left {
            return Err(Refusal::MoreThanLeft {
                order_id: order_id.to_owned(),
                asked: amount,
                left,
            });
        }
        order.refunded += amount;
        self.last_refund += 1;
        let refund = Refund {
            id: format!("ref_{}", self.last_refund),
            order_id: order_id.to_owned(),
            amount,
            reason: reason.trim().to_owned(),
        };
        self.refunds.insert(refund.id.clone(), refund.clone());
        Ok((refund, order.clone()))
    }

    /// Removes a customer with all orders and refunds; says how many orders went with them.
    pub fn delete_customer(&mut self, customer_id: &str) -> Result<usize, Refusal> {
        if self.customers.remove(customer_id).is_none() {
            return Err(Refusal::UnknownCustomer(customer_id.to_owned()));
        }
        let before = self.orders.len();
        self.orders
            .retain(|_, order| order.customer_id != customer_id);
        self.refunds
            .retain(|_, refund| self.orders.contains_key(&refund.order_id));
        Ok(before - self.orders.len())
    }
}

fn customer(id: &str, name: &str, email: &str) -> Customer {
    Customer {
        id: id.to_owned(),
        name: name.to_owned(),
        email: email.to_owned(),
    }
}

fn order(id: &str, customer_id: &str, item: &str, total: u32, placed_on: &str) -> Order {
    Order {
        id: id.to_owned(),
        customer_id: customer_id.to_owned(),
        item: item.to_owned(),
        total,
        refunded: 0,
        placed_on: placed_on.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_seed_is_a_dozen_records_that_belong_together() {
        let records = Records::seeded();
        assert_eq!(records.count(), (4, 8));
        for customer in records.customers() {
            assert!(
                !records.orders_of(&customer.id).unwrap().is_empty(),
                "{}",
                customer.id
            );
        }
    }

    #[test]
    fn customers_are_found_by_any_part_of_what_is_known() {
        let ids = |query| {
            Records::seeded()
                .find_customers(query)
                .into_iter()
                .map(|it| it.id)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("NORA"), ["cus_1"]);
        assert_eq!(ids("mei@"), ["cus_3"]);
        assert_eq!(ids("cus_4"), ["cus_4"]);
        assert_eq!(ids("nobody"), [""; 0]);
    }

    #[test]
    fn refunds_stay_within_what_is_left_of_the_order() {
        let mut records = Records::seeded();
        let (refund, order) = records
            .refund("ord_1001", 40, "damaged in transit")
            .unwrap();
        assert_eq!((refund.id.as_str(), order.refunded), ("ref_1", 40));
        assert_eq!(
            records.refund("ord_1001", 441, "greed"),
            Err(Refusal::MoreThanLeft {
                order_id: "ord_1001".to_owned(),
                asked: 441,
                left: 440
            })
        );
        assert_eq!(
            records.refund("ord_1001", 0, "nothing"),
            Err(Refusal::NothingToRefund)
        );
        assert_eq!(records.refund("ord_1001", 1, "  "), Err(Refusal::NoReason));
        assert_eq!(
            records.refund("ord_9", 1, "typo"),
            Err(Refusal::UnknownOrder("ord_9".to_owned()))
        );
        assert_eq!(records.order("ord_1001").unwrap(), (order, vec![refund]));
    }

    #[test]
    fn a_deleted_customer_takes_orders_and_refunds_along() {
        let mut records = Records::seeded();
        records
            .refund("ord_1001", 40, "damaged in transit")
            .unwrap();
        assert_eq!(records.delete_customer("cus_1"), Ok(2));
        assert_eq!(
            records.delete_customer("cus_1"),
            Err(Refusal::UnknownCustomer("cus_1".to_owned()))
        );
        assert_eq!(
            records.order("ord_1001"),
            Err(Refusal::UnknownOrder("ord_1001".to_owned()))
        );
        assert_eq!(records.count(), (3, 6));
        assert!(records.refunds.is_empty());
    }

    proptest! {
        #[test]
        fn no_row_of_refunds_gives_back_more_than_was_paid(asks in prop::collection::vec((1001..=1009u32, 0..700u32), 0..60)) {
            let mut records = Records::seeded();
            let mut given = 0;
            for (number, amount) in asks {
                if records.refund(&format!("ord_{number}"), amount, "asked").is_ok() {
                    given += u64::from(amount);
                }
            }
            prop_assert!(records.orders.values().all(|order| order.refunded <= order.total));
            prop_assert_eq!(records.orders.values().map(|order| u64::from(order.refunded)).sum::<u64>(), given);
            prop_assert_eq!(records.refunds.values().map(|refund| u64::from(refund.amount)).sum::<u64>(), given);
        }
    }
}
