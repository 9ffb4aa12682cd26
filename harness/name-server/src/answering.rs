//! The book as answers in DNS's own words.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use async_trait::async_trait;
use hickory_server::{
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, MessageType, Metadata, OpCode, ResponseCode},
        rr::{DNSClass, Name, RData, Record, RecordType, rdata::SOA},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use tokio_util::sync::CancellationToken;

use crate::book::{Book, Reply};

/// How long a question without an answer is kept open: longer than any client waits, so that none sees its end.
const SILENCE: Duration = Duration::from_secs(60);

/// Answers questions from a book.
pub(crate) struct Answering {
    book: Arc<Book>,
    time_to_live_s: u32,
    stop: CancellationToken,
}

impl Answering {
    /// Questions that stay without an answer are given up at `stop`.
    pub(crate) fn new(book: Arc<Book>, time_to_live: Duration, stop: CancellationToken) -> Self {
        let time_to_live_s = u32::try_from(time_to_live.as_secs()).unwrap_or(u32::MAX);
        Self {
            book,
            time_to_live_s,
            stop,
        }
    }

    /// What a question gets, and the name that was asked for.
    fn reply(&self, request: &Request) -> Result<(Reply, Name), ResponseCode> {
        let question = request
            .request_info()
            .map_err(|_| ResponseCode::FormErr)?
            .query;
        if request.metadata.op_code != OpCode::Query {
            return Err(ResponseCode::NotImp);
        }
        if question.query_class() != DNSClass::IN {
            return Err(ResponseCode::Refused);
        }
        let name: Name = question.name().into();
        let for_address = question.query_type() == RecordType::A;
        Ok((self.book.reply(&name.to_ascii(), for_address), name))
    }

    fn address_record(&self, name: &Name, address: Ipv4Addr) -> Record {
        Record::from_rdata(name.clone(), self.time_to_live_s, RData::A(address.into()))
    }

    /// Says how long a client may remember that there is nothing: as long as an address, so that both heal alike.
    fn authority_record(&self, name: &Name) -> Record {
        let zone = name.base_name();
        let authority = SOA::new(
            zone.clone(),
            zone.clone(),
            1,
            3600,
            60,
            86_400,
            self.time_to_live_s,
        );
        Record::from_rdata(zone, self.time_to_live_s, RData::SOA(authority))
    }
}

#[async_trait]
impl RequestHandler for Answering {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let (code, answer, authority) = match self.reply(request) {
            Ok((Reply::Address(address), name)) => (
                ResponseCode::NoError,
                Some(self.address_record(&name, address)),
                None,
            ),
            Ok((Reply::NothingOfThatKind, name)) => (
                ResponseCode::NoError,
                None,
                Some(self.authority_record(&name)),
            ),
            Ok((Reply::Unknown, name)) => (
                ResponseCode::NXDomain,
                None,
                Some(self.authority_record(&name)),
            ),
            Ok((Reply::ServerFailing, _)) => (ResponseCode::ServFail, None, None),
            Ok((Reply::Silence, _)) => {
                let _ended = tokio::time::timeout(SILENCE, self.stop.cancelled()).await;
                return unanswered(request);
            }
            Err(code) => (code, None, None),
        };
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = code;
        metadata.authoritative = true;
        let message = MessageResponseBuilder::from_message_request(request).build(
            metadata,
            answer.iter(),
            [],
            authority.iter(),
            [],
        );
        match response.send_response(message).await {
            Ok(sent) => sent,
            Err(error) => {
                tracing::debug!(%error, "an answer about a name could not be sent");
                unanswered(request)
            }
        }
    }
}

/// What the server notes about a question that got no answer.
fn unanswered(request: &Request) -> ResponseInfo {
    let mut metadata = Metadata::new(
        request.metadata.id,
        MessageType::Response,
        request.metadata.op_code,
    );
    metadata.response_code = ResponseCode::ServFail;
    ResponseInfo::from(Header {
        metadata,
        counts: HeaderCounts::default(),
    })
}
