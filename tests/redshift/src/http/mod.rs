//! The Data API and the endpoint of temporary credentials.

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::server::Server;

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, _server: Arc<Server>) {
    loop {
        // Nothing is answered yet.
        let _ = listener.accept().await;
    }
}
