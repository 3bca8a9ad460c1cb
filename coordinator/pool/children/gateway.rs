//! The gateway as the pool sees it: its life, where it listens, and when it gets its end of the recorder's document feed.
//!
//! Nothing waits for it: workers and recorder go on as if it were not there.

use crate::pool::children::life::{Event, Life, Peers};
use crate::pool::input::Child;
use crate::pool::{Action, Pool, ServiceKind};
use touchline_common::control::views::GatewayView;
use touchline_common::ipc::messages::gateway::{FromGateway, GatewayStats, ToGateway};
use touchline_common::model::Generation;

#[derive(Debug)]
pub(in crate::pool) struct Gateway {
    pub(in crate::pool) life: Life,
    stats: GatewayStats,
    /// Where the newest that was ready listens.
    address: String,
}

impl Gateway {
    /// Its generations are counted in one run only: nothing that outlives it knows them.
    pub(in crate::pool) fn new() -> Self {
        let life = Life::new(Peers::Alone, Generation(0));
        Gateway { life, stats: GatewayStats::default(), address: String::new() }
    }
}

impl Pool {
    pub(in crate::pool) fn on_gateway_message(&mut self, generation: Generation, message: FromGateway) {
        let Some(gateway) = self.children.gateway.as_mut().filter(|gateway| gateway.life.is(generation))
        else {
            return;
        };
        match message {
            FromGateway::Hello(hello) => self.welcome(Child::GATEWAY, &hello),
            FromGateway::Ready { address } => {
                gateway.address = address;
                gateway.stats = GatewayStats::default();
                if self.service_ready(ServiceKind::Gateway) {
                    self.service_is_back(ServiceKind::Gateway);
                    self.connect_feed();
                }
            }
            FromGateway::Stats(stats) => {
                gateway.life.process.reported_at = self.now;
                gateway.stats = stats;
            }
            FromGateway::Leaving { why: _ } => {
                self.advance(Child::GATEWAY, Event::Announced);
            }
        }
    }

    /// Gives the gateway the document feed, if both ends are there.
    pub(super) fn connect_feed(&mut self) {
        if self.is_gateway_ready() && self.children.recorder.life.is_ready() {
            self.out.push(Action::ConnectFeed);
        }
    }

    pub(super) fn send_to_gateway(&mut self, message: ToGateway) {
        if let Some(gateway) = self.children.gateway.as_ref().filter(|gateway| gateway.life.has_process()) {
            let generation = gateway.life.generation;
            self.out.push(Action::ToGateway { generation, message });
        }
    }

    fn is_gateway_ready(&self) -> bool {
        self.children.gateway.as_ref().is_some_and(|gateway| gateway.life.is_ready())
    }

    /// Why there is no gateway although there should be one.
    pub(in crate::pool) fn gateway_trouble(&self) -> Option<String> {
        let gateway = self.children.gateway.as_ref().filter(|gateway| !gateway.life.is_ready())?;
        Some(format!("the gateway is {}", gateway.life.state.as_str()))
    }

    pub(in crate::pool) fn gateway_view(&self) -> GatewayView {
        let Some(gateway) = &self.children.gateway else { return GatewayView::default() };
        let clients = if gateway.life.is_ready() { gateway.stats.clients } else { 0 };
        let state = match gateway.life.state.as_str() {
            "empty" | "dead" => "down",
            state => state,
        };
        GatewayView { state: state.into(), clients, address: gateway.address.clone() }
    }

    /// What it did last, as far as it reported.
    pub(super) fn gateway_activity(&self) -> String {
        self.children.gateway.as_ref().map_or_else(String::new, |gateway| {
            let GatewayStats { clients, streams } = gateway.stats;
            format!("{clients} connections, {streams} streams")
        })
    }
}
