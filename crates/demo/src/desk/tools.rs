//! The tools of the desk, as any MCP client sees them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::{Json, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::desk::records::{Customer, Order, Records, Refund};

/// The desk; clones share their records.
#[derive(Clone)]
pub struct Desk {
    records: Arc<Mutex<Records>>,
}

/// Whom to look for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FindCustomer {
    /// A part of the id, the name or the e-mail address.
    pub query: String,
}

/// Which customer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichCustomer {
    /// The customer's id, such as `cus_1`.
    pub customer_id: String,
}

/// Which order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichOrder {
    /// The order's id, such as `ord_1001`.
    pub order_id: String,
}

/// What to give back, and why.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueRefund {
    /// The order's id, such as `ord_1001`.
    pub order_id: String,
    /// How much to give back, in whole euros.
    #[schemars(range(min = 1))]
    pub amount: u32,
    /// Why the money goes back.
    pub reason: String,
}

/// Some customers.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Customers {
    /// In the order of their ids.
    pub customers: Vec<Customer>,
}

/// Some orders.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Orders {
    /// In the order of their ids.
    pub orders: Vec<Order>,
}

/// An order and what was given back for it.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderWithRefunds {
    /// The order.
    pub order: Order,
    /// Its refunds.
    pub refunds: Vec<Refund>,
}

/// A refund that was made.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refunded {
    /// The refund.
    pub refund: Refund,
    /// The order as it is now.
    pub order: Order,
}

/// A customer who is gone.
#[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deleted {
    /// Who was deleted.
    pub customer_id: String,
    /// How many orders went with them.
    pub orders_deleted: usize,
}

#[tool_router]
impl Desk {
    /// A desk over these records.
    pub fn new(records: Records) -> Self {
        Self {
            records: Arc::new(Mutex::new(records)),
        }
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        // No holder of the lock can leave the records half-changed, so one that panicked did no harm to them.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[tool(
        description = "Find customers by a part of their id, name or e-mail address",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn find_customer(&self, asked: Parameters<FindCustomer>) -> Json<Customers> {
        Json(Customers {
            customers: self.records().find_customers(&asked.0.query),
        })
    }

    #[tool(
        description = "List the orders of a customer",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn list_orders(&self, asked: Parameters<WhichCustomer>) -> Result<Json<Orders>, String> {
        let orders = self
            .records()
            .orders_of(&asked.0.customer_id)
            .map_err(|refusal| refusal.to_string())?;
        Ok(Json(Orders { orders }))
    }

    #[tool(
        description = "Show an order and the refunds that were made for it",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn get_order(
        &self,
        asked: Parameters<WhichOrder>,
    ) -> Result<Json<OrderWithRefunds>, String> {
        let (order, refunds) = self
            .records()
            .order(&asked.0.order_id)
            .map_err(|refusal| refusal.to_string())?;
        Ok(Json(OrderWithRefunds { order, refunds }))
    }

    #[tool(
        description = "Give money back for an order, in whole euros and at most what is left of it; this cannot be undone",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn issue_refund(&self, asked: Parameters<IssueRefund>) -> Result<Json<Refunded>, String> {
        let IssueRefund {
            order_id,
            amount,
            reason,
        } = asked.0;
        let (refund, order) = self
            .records()
            .refund(&order_id, amount, &reason)
            .map_err(|refusal| refusal.to_string())?;
        Ok(Json(Refunded { refund, order }))
    }

    #[tool(
        description = "Delete a customer with all their orders and refunds; this cannot be undone",
        annotations(
            read_only_hint = false,
            destructive_hint = true,
            idempotent_hint = false,
            open_world_hint = false
        )
    )]
    async fn delete_customer(
        &self,
        asked: Parameters<WhichCustomer>,
    ) -> Result<Json<Deleted>, String> {
        let customer_id = asked.0.customer_id;
        let orders_deleted = self
            .records()
            .delete_customer(&customer_id)
            .map_err(|refusal| refusal.to_string())?;
        Ok(Json(Deleted {
            customer_id,
            orders_deleted,
        }))
    }

    #[tool(
        description = "Return the id, name and e-mail address of every customer",
        annotations(read_only_hint = true, open_world_hint = false)
    )]
    async fn export_customers(&self) -> Json<Customers> {
        Json(Customers {
            customers: self.records().customers(),
        })
    }
}

#[tool_handler]
impl ServerHandler for Desk {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(
                "support-desk",
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions("Customers, their orders, and refunds in whole euros")
    }
}
