//! Where phones plug in: each enumeration gets a new device number, and every door hears of it.
//!
//! The board does not replay stage changes; it compares what is plugged with what the phone is *now*, so
//! two changes in quick succession show as one departure and one arrival, as on a slow bus, and a stale
//! number is never announced.

use super::model::{Identity, Model, lock};
use crate::ids::PortPath;
use crate::usb::{Address, UsbDevice};
use crate::virt::phone::{Phone, path_of_port};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

/// The bus that the board stands for.
pub const BUS: u8 = 1;
/// The root hub has number 1.
const FIRST_DEVICE: u8 = 2;
const LAST_DEVICE: u8 = 127;

/// One enumeration of one phone.
#[derive(Clone)]
pub struct Plugged {
    pub model: Arc<Model>,
    pub address: Address,
    /// The port that it came on.
    pub port: u8,
    pub identity: Identity,
}

impl Plugged {
    pub fn device(&self) -> UsbDevice {
        let no_access = self.model.faults().no_access;
        UsbDevice {
            address: self.address,
            port: PortPath::new(path_of_port(self.port)),
            vendor: crate::facts::modes::APPLE,
            product: self.identity.product,
            serial: (!no_access).then(|| self.identity.serial.clone()),
            no_access,
            is_virtual: true,
        }
    }
}

#[derive(Clone)]
pub enum Change {
    Arrived(Plugged),
    Left(Plugged),
}

struct Slots {
    next: u8,
    plugged: Vec<Option<Plugged>>,
    watchers: Vec<Sender<Change>>,
}

pub struct Board {
    models: Vec<Arc<Model>>,
    slots: Mutex<Slots>,
}

impl Board {
    pub fn new(phones: &[Arc<Phone>]) -> Arc<Board> {
        let models: Vec<Arc<Model>> = phones.iter().map(Model::of).collect();
        let slots = Slots { next: FIRST_DEVICE, plugged: vec![None; models.len()], watchers: Vec::new() };
        let board = Arc::new(Board { models, slots: Mutex::new(slots) });
        for (place, phone) in phones.iter().enumerate() {
            let changes = phone.watch();
            let weak = Arc::downgrade(&board);
            std::thread::spawn(move || {
                for _change in changes {
                    let Some(board) = weak.upgrade() else { return };
                    board.settle(&mut lock(&board.slots), place);
                }
            });
        }
        board.refresh();
        board
    }

    /// All that is plugged now, in the order of the ports.
    pub fn plugged(&self) -> Vec<Plugged> {
        self.refresh();
        lock(&self.slots).plugged.iter().flatten().cloned().collect()
    }

    /// What is plugged now, and every change after it.
    pub fn watch(&self) -> (Vec<Plugged>, Receiver<Change>) {
        let (sender, receiver) = channel();
        let mut slots = lock(&self.slots);
        (0..self.models.len()).for_each(|place| self.settle(&mut slots, place));
        slots.watchers.push(sender);
        (slots.plugged.iter().flatten().cloned().collect(), receiver)
    }

    pub fn find(&self, address: Address) -> Option<Plugged> {
        self.plugged().into_iter().find(|p| p.address == address)
    }

    fn refresh(&self) {
        let mut slots = lock(&self.slots);
        (0..self.models.len()).for_each(|place| self.settle(&mut slots, place));
    }

    fn settle(&self, slots: &mut Slots, place: usize) {
        let Some(model) = self.models.get(place) else { return };
        let now = model.identity();
        let Some(slot) = slots.plugged.get_mut(place) else { return };
        let same = slot.as_ref().map(|p| p.identity.generation) == now.as_ref().map(|i| i.generation);
        if same {
            return;
        }
        let left = slot.take();
        let arrived = now.map(|identity| {
            let address = Address { bus: BUS, device: free_number(slots) };
            Plugged { model: Arc::clone(model), address, port: model.phone().port(), identity }
        });
        if let Some(slot) = slots.plugged.get_mut(place) {
            slot.clone_from(&arrived);
        }
        for change in [left.map(Change::Left), arrived.map(Change::Arrived)].into_iter().flatten() {
            slots.watchers.retain(|w| w.send(change.clone()).is_ok());
        }
    }
}

/// Numbers go round as a kernel's do, so that a number is not soon used again.
fn free_number(slots: &mut Slots) -> u8 {
    let taken = |n: u8| slots.plugged.iter().flatten().any(|p| p.address.device == n);
    let mut number = slots.next;
    for _ in FIRST_DEVICE..=LAST_DEVICE {
        if !taken(number) {
            break;
        }
        number = if number >= LAST_DEVICE { FIRST_DEVICE } else { number + 1 };
    }
    slots.next = if number >= LAST_DEVICE { FIRST_DEVICE } else { number + 1 };
    number
}
