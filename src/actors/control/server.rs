//! The server of one control socket: accepts callers, as many as there may be, on a thread of its own.
//!
//! ```text
//!  accept --room?--> connection (bounds) --> actix-web's routes
//!            '- full: who has stalled longest is cut off; nobody stalls: the new one is told to come later
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_rt::Arbiter;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::AppConfig;
use actix_web::{App, web};
use rustix::process::{Resource, getrlimit};
use slog::{error, warn};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

use super::body::Bodies;
use super::connection::{Caller, Connection, say};
use super::peer::{self, Access, Peer};
use super::refusals::Refusals;
use super::{Context, error, routes};
use crate::config::ControlLimits;

/// After the answer a caller may take so long to close its side.
const GOODBYE: Duration = Duration::from_secs(1);
/// Where the system has no descriptor for a caller, it is asked again after this.
const NO_DESCRIPTOR: Duration = Duration::from_millis(100);

/// What the routes are served; the address is one of TCP, and a Unix socket has none.
type Incoming = (Connection, Option<SocketAddr>);

/// Who may come in by a socket, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Door {
    /// Who may call.
    pub access: Access,
    /// Nothing can be changed, and nothing that has an effect be asked for.
    pub reads_only: bool,
}

/// A server that runs.
#[derive(Debug)]
pub struct Served {
    stop: Arc<Notify>,
    arbiter: Arbiter,
}

impl Served {
    /// Ends it: streams are cut.
    pub fn stop(&self) {
        self.stop.notify_one();
        self.arbiter.stop();
    }
}

/// Serves on a socket that is bound already.
///
/// # Errors
/// When the system does not let it.
pub fn serve(
    listener: UnixListener,
    door: Door,
    limits: &watch::Receiver<ControlLimits>,
    context: &Arc<Context>,
) -> std::io::Result<Served> {
    listener.set_nonblocking(true)?;
    let served = Served { stop: Arc::new(Notify::new()), arbiter: Arbiter::new() };
    let (stop, limits, context) = (Arc::clone(&served.stop), limits.clone(), Arc::clone(context));
    served.arbiter.spawn_fn(move || {
        actix_rt::spawn(async move {
            tokio::select! {
                () = run(listener, door, limits, Arc::clone(&context)) => {}
                () = stop.notified() => {}
            }
        });
    });
    Ok(served)
}

async fn run(listener: UnixListener, door: Door, limits: watch::Receiver<ControlLimits>, context: Arc<Context>) {
    let listener = match tokio::net::UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(e) => return error!(context.log, "the control socket cannot be served"; "error" => %e),
    };
    let refusals = Rc::new(Refusals::new(context.log.clone(), context.clock.clone()));
    let bodies = Rc::new(Bodies::new(limits.clone(), context.clock.clone()));
    let (data, said) = (web::Data::from(Arc::clone(&context)), Rc::clone(&refusals));
    let callers = Rc::new(Callers::default());
    let app = App::new()
        .app_data(data)
        .app_data(door)
        .app_data(said)
        .app_data(bodies)
        .app_data(Rc::clone(&callers))
        .app_data(web::PathConfig::default().error_handler(error::bad_path))
        .wrap(actix_web::middleware::from_fn(peer::admit))
        .configure(routes)
        .default_service(web::to(error::no_route))
        .into_factory()
        .map_err(|e: actix_web::Error| e.error_response());
    let service = HttpService::build()
        // One request on each connection: then a caller that sends nothing is one that stalls.
        .keep_alive(KeepAlive::Disabled)
        .client_request_timeout(Duration::ZERO) // ours has words
        .client_disconnect_timeout(GOODBYE)
        .on_connect_ext(|connection: &Connection, data: &mut actix_http::Extensions| {
            data.insert(Rc::clone(connection.caller()));
        })
        .h1(map_config(app, |()| AppConfig::default()))
        .new_service(());
    let Ok(service) = service.await else {
        return error!(context.log, "the control socket cannot be served");
    };
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => {
                refusals.limit(None, &format!("it could not be accepted: {e}"));
                tokio::time::sleep(NO_DESCRIPTOR).await;
                continue;
            }
        };
        let limits = *limits.borrow();
        let peer = Peer::of(&stream, door.access);
        let most = most_connections(limits);
        match callers.make_room(most) {
            Room::Free => {}
            Room::Taken(cut) => {
                let kept = context.clock.now().since(cut.since).as_millis();
                let full = full(most, limits);
                refusals.limit(cut.peer, &format!("{full}; it had stalled longest of all, for {kept} ms"));
            }
            Room::Full => {
                let why = format!("{}, and all of them are being answered: try again", full(most, limits));
                refusals.limit(peer, &why);
                say(&stream, 503, why);
                continue;
            }
        }
        let caller = Caller::new(peer, context.clock.now());
        let connection = Connection::new(stream, Rc::clone(&caller), limits, Rc::clone(&refusals));
        if std::future::poll_fn(|cx| Service::<Incoming>::poll_ready(&service, cx)).await.is_err() {
            warn!(context.log, "the control socket's routes are not ready");
            continue;
        }
        let answered = service.call((connection, None));
        let task = actix_rt::spawn(async move {
            // A caller that breaks off is no error of ours.
            let _broken_off = answered.await;
        });
        callers.push(caller, task.abort_handle());
    }
}

/// As many as the settings say, and a quarter of the file descriptors at most: probes and databases need theirs.
fn most_connections(limits: ControlLimits) -> usize {
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    limits.max_connections.min(usize::try_from(descriptors / 4).unwrap_or(usize::MAX)).max(1)
}

fn full(most: usize, limits: ControlLimits) -> String {
    let set = limits.max_connections;
    if most == set {
        format!("{most} callers are connected, which is control.max_connections")
    } else {
        format!("{most} callers are connected, a quarter of the file descriptors (control.max_connections = {set})")
    }
}

/// All that are connected, the oldest first.
#[derive(Debug, Default)]
pub struct Callers(RefCell<VecDeque<(Rc<Caller>, AbortHandle)>>);

/// Whether one more may come.
#[derive(Debug)]
pub enum Room {
    /// There is room.
    Free,
    /// This one was cut off for it.
    Taken(Rc<Caller>),
    /// There is none.
    Full,
}

impl Callers {
    fn push(&self, caller: Rc<Caller>, task: AbortHandle) {
        self.0.borrow_mut().push_back((caller, task));
    }

    /// Makes room for one more among `most`.
    fn make_room(&self, most: usize) -> Room {
        self.cut_one_of(most, |_| true)
    }

    /// Makes room for one more that watches: half of all may.
    pub fn make_room_to_watch(&self, limits: ControlLimits) -> Room {
        self.cut_one_of(most_connections(limits) / 2, Caller::watches)
    }

    fn cut_one_of(&self, most: usize, of: impl Fn(&Caller) -> bool) -> Room {
        let mut all = self.0.borrow_mut();
        all.retain(|(caller, _)| !caller.has_ended());
        if all.iter().filter(|(caller, _)| of(caller)).count() < most {
            return Room::Free;
        }
        let at = all.iter().position(|(caller, _)| of(caller) && caller.stalls());
        match at.and_then(|at| all.remove(at)) {
            Some((caller, task)) => {
                task.abort();
                Room::Taken(caller)
            }
            None => Room::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Mono;

    const LIMITS: ControlLimits =
        ControlLimits { max_connections: 4, max_head: 4096, max_body: 4096, request_timeout: Duration::from_secs(1) };

    #[actix_rt::test]
    async fn who_has_stalled_longest_makes_room_and_who_is_served_stays() {
        let callers = Callers::default();
        let come = |callers: &Callers| {
            let caller = Caller::new(None, Mono::default());
            let task = actix_rt::spawn(std::future::pending::<()>());
            callers.push(Rc::clone(&caller), task.abort_handle());
            (caller, task)
        };
        let (first, first_task) = come(&callers);
        let (second, second_task) = come(&callers);
        assert!(matches!(callers.make_room(3), Room::Free));
        first.request_is_here();
        let Room::Taken(cut) = callers.make_room(2) else { panic!("there was one that stalled") };
        assert!(Rc::ptr_eq(&cut, &second));
        assert!(second_task.await.unwrap_err().is_cancelled());
        let (third, _task) = come(&callers);
        third.request_is_here();
        assert!(matches!(callers.make_room(2), Room::Full));
        assert!(!first_task.is_finished());
        assert!(matches!(callers.make_room_to_watch(LIMITS), Room::Free));
        for caller in [&first, &third] {
            caller.now_watches();
        }
        assert!(matches!(callers.make_room_to_watch(LIMITS), Room::Full), "half of four, and both take their answers");
    }
}
