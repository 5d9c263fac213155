//! One order: from the names to the chain.

use std::{collections::HashSet, time::Duration};

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Identifier, NewOrder,
    Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use tokio::time::{Instant, sleep};

use super::{
    builder::{AcmeBuilder, Challenge},
    challenge::{Answering, Challenges},
    handle::AcmeError,
};

/// How long a CA may take to validate, and to issue. Most take seconds; some have people in between, for whom there is the next try.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LAST_LOOK: Duration = Duration::from_secs(10);

/// Orders a certificate. Gives its chain and its new key, each in PEM.
pub(super) async fn order(
    settings: &AcmeBuilder,
    account: &Account,
    challenges: &Challenges,
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<(String, String), AcmeError> {
    let identifiers = settings.names.iter().cloned().map(Identifier::Dns);
    let identifiers = identifiers.collect::<Vec<_>>();
    let mut order = NewOrder::new(&identifiers);
    if let Some(replaces) = replaces {
        order = order.replaces(replaces);
    }
    let mut order = account
        .new_order(&order)
        .await
        .map_err(|error| AcmeError::new("the CA takes no order").with_source(error))?;

    // Until the CA has looked.
    let answers = answer(settings, challenges, &mut order).await?;
    let status = until(&mut order, |status| !matches!(status, OrderStatus::Pending)).await?;
    drop(answers);
    if status == OrderStatus::Invalid {
        return Err(refused(&mut order, settings.names.len()).await);
    }

    // A new key for each certificate: what leaks ends with it.
    let (request, key) = request(&settings.names)
        .map_err(|error| AcmeError::new("a key and a request cannot be made").with_source(error))?;
    if status == OrderStatus::Ready {
        order.finalize_csr(&request).await.map_err(|error| {
            AcmeError::new("the CA does not take the request for the certificate")
                .with_source(error)
        })?;
    }
    let issued = |status: OrderStatus| matches!(status, OrderStatus::Valid | OrderStatus::Invalid);
    if !issued(order.state().status) {
        until(&mut order, issued).await?;
    }
    let not_issued = "the CA did not issue the certificate";
    match order.certificate().await {
        Ok(Some(chain)) => Ok((chain, key)),
        Ok(None) => Err(AcmeError::new(not_issued)),
        Err(error) => Err(AcmeError::new(not_issued).with_source(error)),
    }
}

/// Answers every challenge that is open, and tells the CA to look.
async fn answer(
    settings: &AcmeBuilder,
    challenges: &Challenges,
    order: &mut Order,
) -> Result<Vec<Answering>, AcmeError> {
    let mut wanted = settings
        .names
        .iter()
        .map(String::as_str)
        .collect::<HashSet<_>>();
    let mut answers = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next.map_err(|error| {
            AcmeError::new("the CA does not tell how it validates a name").with_source(error)
        })?;
        // What the CA says it is for goes into a certificate: it must be a name that was ordered, and once.
        let name = match authorization.identifier().identifier {
            Identifier::Dns(name) => name.clone(),
            _ => String::new(),
        };
        if !wanted.remove(name.as_str()) {
            return Err(AcmeError::new(
                "the CA wants to validate a name that was not ordered",
            ));
        }
        match authorization.status {
            AuthorizationStatus::Pending => {}
            // From an order before.
            AuthorizationStatus::Valid => continue,
            status => {
                return Err(AcmeError::new(format!(
                    "the CA will not validate `{name}`: its authorization is {status:?}"
                )));
            }
        }
        let (kind, text) = match settings.challenge {
            Challenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "TLS-ALPN-01"),
            Challenge::Http01 => (ChallengeType::Http01, "HTTP-01"),
        };
        let mut challenge = authorization.challenge(kind).ok_or_else(|| {
            AcmeError::new(format!("the CA does not validate `{name}` by {text}"))
        })?;
        let authorization = challenge.key_authorization();
        answers.push(match settings.challenge {
            Challenge::TlsAlpn01 => {
                let digest = authorization.digest();
                let digest = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
                challenges.answer_certificate(&name, digest, settings.provider.crypto())?
            }
            Challenge::Http01 => {
                challenges.answer_file(challenge.token.clone(), authorization.as_str().to_owned())
            }
        });
        challenge.set_ready().await.map_err(|error| {
            AcmeError::new(format!("the CA does not look at the answer for `{name}`"))
                .with_source(error)
        })?;
    }
    Ok(answers)
}

/// Looks again and again, until the order is as it should be.
async fn until(
    order: &mut Order,
    is_over: impl Fn(OrderStatus) -> bool,
) -> Result<OrderStatus, AcmeError> {
    let (started, mut pause) = (Instant::now(), FIRST_LOOK);
    while started.elapsed() < PATIENCE {
        sleep(pause).await;
        pause = (pause * 2).min(LAST_LOOK);
        let state = order.refresh().await.map_err(|error| {
            AcmeError::new("the CA does not tell how the order stands").with_source(error)
        })?;
        if is_over(state.status) {
            return Ok(state.status);
        }
    }
    Err(AcmeError::new(format!(
        "the order took the CA more than {PATIENCE:?}"
    )))
}

/// What the CA did not like.
async fn refused(order: &mut Order, names: usize) -> AcmeError {
    let mut problem = order.state().error.clone();
    let mut whom = String::new();
    let mut authorizations = order.authorizations();
    for _ in 0..names {
        let Some(Ok(authorization)) = authorizations.next().await else {
            break;
        };
        // It says more than the order does.
        let error = authorization
            .challenges
            .iter()
            .find_map(|open| open.error.clone());
        if let (Some(error), Identifier::Dns(name)) = (error, authorization.identifier().identifier)
        {
            problem = Some(error);
            whom = format!(" of `{name}`");
            break;
        }
    }
    let error = AcmeError::new(format!(
        "the validation{whom} failed; check that the CA reaches this process under that name"
    ));
    match problem {
        Some(problem) => error.with_source(instant_acme::Error::Api(problem)),
        None => error,
    }
}

/// A request for a certificate (RFC 2986), and the key it is for.
fn request(names: &[String]) -> Result<(Vec<u8>, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    // The names are in the extension, and rcgen's default says something else.
    params.distinguished_name = DistinguishedName::new();
    let key = KeyPair::generate()?;
    let request = params.serialize_request(&key)?;
    Ok((request.der().to_vec(), key.serialize_pem()))
}
