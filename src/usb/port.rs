//! A handle on a thread of its own, spoken to from async code.
//!
//! libusb's calls block and a handle may not be shared, so each open device gets a thread that owns the
//! handle and runs what it is given, in order. The caller waits with a limit of its own: each call inside
//! is bounded by libusb's time-out, and the outer limit holds even if the kernel does not keep that one.
//! A protocol is then plain sequential code over `&mut dyn Handle` (see `iboot.rs`, `dfu.rs`), testable
//! without any runtime. A caller that goes away stops a long job at its next packet through [`Stop`];
//! dropping the port closes the handle.

use super::bus::{Bus, Handle, UsbDevice, UsbError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

type Job = Box<dyn FnOnce(&mut dyn Handle) + Send>;

/// Opening and closing are kernel calls without packets.
const OPEN_LIMIT: Duration = Duration::from_secs(10);

/// Set when nobody waits for the job any more; looked at between packets.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sets the flag when the waiting future is dropped.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// What a job on the port's thread can look at and report.
pub struct Desk {
    stop: Stop,
    done: watch::Sender<u64>,
}

impl Desk {
    /// Nobody waits any more.
    pub fn stopped(&self) -> bool {
        self.stop.is_set()
    }

    /// Bytes done so far; only the newest number counts.
    pub fn done(&self, bytes: u64) {
        self.done.send_replace(bytes);
    }

    /// For sequential use without a port: never stops, reports to nobody.
    pub fn alone() -> Self {
        Desk { stop: Stop::default(), done: watch::Sender::new(0) }
    }
}

/// One open device.
pub struct Port {
    device: UsbDevice,
    jobs: Sender<Job>,
}

impl Port {
    /// Opens the device on a new thread.
    ///
    /// # Errors
    /// What opening gave, [`UsbError::Timeout`] after 10 s.
    pub async fn open(bus: Arc<dyn Bus>, device: UsbDevice) -> Result<Port, UsbError> {
        let (jobs, queue) = channel::<Job>();
        let (opened, answer) = oneshot::channel();
        let address = device.address;
        std::thread::Builder::new()
            .name(format!("usb-{address}"))
            .spawn(move || {
                let mut handle = match bus.open(address) {
                    Ok(handle) => handle,
                    Err(err) => {
                        let _ = opened.send(Err(err));
                        return;
                    }
                };
                drop(bus);
                if opened.send(Ok(())).is_err() {
                    return;
                }
                while let Ok(job) = queue.recv() {
                    job(handle.as_mut());
                }
            })
            .map_err(|e| UsbError::Unavailable(e.to_string()))?;
        match tokio::time::timeout(OPEN_LIMIT, answer).await {
            Err(_) => Err(UsbError::Timeout),
            Ok(Err(_)) => Err(UsbError::Other("the port's thread ended".into())),
            Ok(Ok(result)) => result.map(|()| Port { device, jobs }),
        }
    }

    /// The device as it was seen before it was opened.
    pub fn device(&self) -> &UsbDevice {
        &self.device
    }

    /// Runs `job` on the port's thread after those before it.
    ///
    /// # Errors
    /// What the job gave; [`UsbError::Timeout`] when it is not done within `limit`.
    pub async fn run<T, E, F>(&self, limit: Duration, job: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<UsbError> + Send + 'static,
        F: FnOnce(&mut dyn Handle) -> Result<T, E> + Send + 'static,
    {
        self.run_counting(limit, |handle, _| job(handle), &mut |_| {}).await
    }

    /// As [`Port::run`]; `progress` hears the bytes that the job counts on its [`Desk`]. `limit` is for
    /// *silence*: the time without any progress, not the whole.
    pub async fn run_counting<T, E, F>(
        &self,
        limit: Duration,
        job: F,
        progress: &mut (dyn FnMut(u64) + Send),
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<UsbError> + Send + 'static,
        F: FnOnce(&mut dyn Handle, &Desk) -> Result<T, E> + Send + 'static,
    {
        let (answered, mut answer) = oneshot::channel();
        let (done, mut counted) = watch::channel(0);
        let stop = Stop::default();
        let _guard = StopOnDrop(stop.clone());
        let desk = Desk { stop, done };
        let boxed: Job = Box::new(move |handle| {
            let _ = answered.send(job(handle, &desk));
        });
        self.jobs.send(boxed).map_err(|_| UsbError::Gone)?;
        let mut counting = true;
        loop {
            let silence = tokio::time::sleep(limit);
            tokio::select! {
                biased;
                result = &mut answer => {
                    if counted.has_changed().unwrap_or(true) {
                        progress(*counted.borrow_and_update());
                    }
                    return result.unwrap_or_else(|_| Err(UsbError::Other("the port's thread ended".into()).into()));
                }
                changed = counted.changed(), if counting => match changed {
                    Ok(()) => progress(*counted.borrow_and_update()),
                    Err(_) => counting = false,
                },
                () = silence => return Err(UsbError::Timeout.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Script, ScriptedBus, device};
    use super::*;
    use std::sync::Mutex;

    async fn port() -> Port {
        let bus = ScriptedBus::default();
        let device = device(3, "1-1", 0x1281, None);
        bus.plug(device.clone(), Script::new(|_| Ok(vec![])));
        Port::open(Arc::new(bus), device).await.unwrap()
    }

    #[tokio::test]
    async fn a_call_that_does_not_come_back_ends_the_wait_all_the_same() {
        let port = port().await;
        let (release, held) = channel::<()>();
        let held = Mutex::new(held);
        let stuck = move |_: &mut dyn Handle| {
            let _ = held.lock().unwrap().recv();
            Ok::<_, UsbError>(())
        };
        assert_eq!(port.run(Duration::from_millis(50), stuck).await, Err(UsbError::Timeout));
        drop(release);
        let five = port.run(Duration::from_secs(5), |_| Ok::<_, UsbError>(5)).await;
        assert_eq!(five, Ok(5));
    }

    #[tokio::test]
    async fn progress_keeps_a_long_job_alive_and_its_last_number_is_heard() {
        let port = port().await;
        let mut heard = Vec::new();
        let job = |_: &mut dyn Handle, desk: &Desk| {
            for n in 1..=10 {
                std::thread::park_timeout(Duration::from_millis(30));
                desk.done(n);
            }
            Ok::<_, UsbError>(())
        };
        port.run_counting(Duration::from_millis(200), job, &mut |n| heard.push(n)).await.unwrap();
        assert_eq!(heard.last(), Some(&10));
        assert!(heard.is_sorted());
    }

    #[tokio::test]
    async fn a_job_that_panics_is_an_error_and_so_is_the_port_after_it() {
        let port = port().await;
        let broken = |_: &mut dyn Handle| -> Result<(), UsbError> { panic!("on purpose") };
        assert!(matches!(port.run(Duration::from_secs(5), broken).await, Err(UsbError::Other(_))));
        let next = port.run(Duration::from_secs(5), |_| Ok::<_, UsbError>(())).await;
        assert!(matches!(next, Err(UsbError::Gone | UsbError::Other(_))));
    }

    #[tokio::test]
    async fn what_is_not_there_cannot_be_opened() {
        let bus = Arc::new(ScriptedBus::default());
        let mut closed = device(4, "1-2", 0x1281, None);
        closed.no_access = true;
        bus.plug(closed.clone(), Script::new(|_| Ok(vec![])));
        assert_eq!(Port::open(bus.clone(), closed).await.err(), Some(UsbError::Access));
        assert_eq!(Port::open(bus, device(9, "1-9", 0x1281, None)).await.err(), Some(UsbError::Gone));
    }
}
