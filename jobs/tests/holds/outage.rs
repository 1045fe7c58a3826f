use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::support::*;

/// A way to the server that can be cut: connections break, and new ones are refused at once.
struct Way {
    open: watch::Sender<bool>,
    address: SocketAddr,
}

impl Way {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, mut state) = watch::channel(true);
        tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    changed = state.changed() => match changed {
                        Ok(()) if *state.borrow_and_update() => {}
                        Ok(()) => connections.shutdown().await,
                        Err(_) => return,
                    },
                    Ok((mut inner, _)) = listener.accept() => {
                        if *state.borrow() {
                            let server = server.clone();
                            connections.spawn(async move {
                                let mut outer = TcpStream::connect(server).await.unwrap();
                                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                            });
                        }
                    }
                }
            }
        });
        Self { open, address }
    }
}

#[tokio::test]
async fn the_runtime_outlives_its_database_and_so_do_its_handlers() {
    let direct = database().await;
    let server = direct.connect_options();
    let way = Way::to(format!("{}:{}", server.get_host(), server.get_port())).await;
    let through = pool((*server).clone().host("127.0.0.1").port(way.address.port())).await;

    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let (runtime, mut starts) = probing(&through, quick(), move |probe| {
        let held = held.clone();
        async move {
            if probe.n == 1 {
                held.acquire().await.unwrap().forget();
            }
            Ok(())
        }
    });
    enqueue(&direct, &[Probe::plain(1)]).await;
    next(&mut starts).await;

    way.open.send(false).unwrap();
    enqueue(&direct, &[Probe::plain(2)]).await;
    gate.add_permits(1);
    // Longer than the pool's patience and than it takes to be taken for lost.
    execute(&direct, "create table cut as select now() as at").await;
    until(&direct, "(select now() - at > '2500 ms' from cut)").await;
    assert!(starts.try_recv().is_err(), "the way was not cut");
    way.open.send(true).unwrap();

    assert_eq!(next(&mut starts).await.n, 2);
    until(&direct, "2 = (select count(*) from apalis.jobs where status = 'Done' and attempts = 1)").await;
    // The listener is back as well.
    until(&direct, LISTENING).await;
    enqueue(&direct, &[Probe::plain(3)]).await;
    assert_eq!(next(&mut starts).await.n, 3);
    runtime.stop().await;
    assert!(starts.recv().await.is_none(), "a job ran twice");
}
