//! The same with openssl as the CA and the responder.
