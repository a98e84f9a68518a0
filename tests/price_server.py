"""AWS's Pricing API and spot price history over HTTP, as far as `hpo prices update` asks. On 127.0.0.1, in a thread."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

PAGE = 1
"""Products in an answer: the pages are read on to the end."""


class PriceServer:
    """Answers from `products` and `spots`, which a test fills, by the filters of each call.

    Attributes:
        products: (service code, attributes, unit, USD) of each product.
        spots: (type, zone, USD, timestamp) of each change of a spot price.
        refuse: error code that every call gets, "" for none.
    """

    def __init__(self):
        self.products, self.spots, self.refuse = [], [], ""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def environment(self):
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def sells(self, service, usd, unit="Hrs", **attributes):
        """Add a product."""
        self.products.append((service, attributes, unit, usd))

    def get_products(self, request):
        wanted = {each["Field"]: each["Value"] for each in request["Filters"]}
        found = [
            product_document(attributes, usd, unit=unit)
            for service, attributes, unit, usd in self.products
            if service == request["ServiceCode"] and wanted.items() <= attributes.items()
        ]
        start = int(request.get("NextToken", 0))
        answer = {"FormatVersion": request["FormatVersion"], "PriceList": found[start : start + PAGE]}
        return answer | ({"NextToken": str(start + PAGE)} if start + PAGE < len(found) else {})

    def spot_history(self, form):
        asked = {values[0] for name, values in form.items() if name.startswith("InstanceType.")}
        items = "".join(
            f"<item><instanceType>{name}</instanceType><productDescription>Linux/UNIX</productDescription>"
            f"<spotPrice>{usd}</spotPrice><timestamp>{timestamp}</timestamp>"
            f"<availabilityZone>{zone}</availabilityZone></item>"
            for name, zone, usd, timestamp in self.spots
            if name in asked
        )
        return (
            '<DescribeSpotPriceHistoryResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            f"<requestId>1</requestId><spotPriceHistorySet>{items}</spotPriceHistorySet><nextToken/>"
            "</DescribeSpotPriceHistoryResponse>"
        )


def product_document(attributes, usd, *, unit="Hrs"):
    """One entry of a `PriceList`: JSON text in the API's shape."""
    rate = {"unit": unit, "pricePerUnit": {"USD": usd}, "beginRange": "0", "endRange": "Inf"}
    return json.dumps(
        {
            "product": {"attributes": attributes, "sku": "AAAA"},
            "terms": {"OnDemand": {"AAAA.BBBB": {"priceDimensions": {"AAAA.BBBB.CCCC": rate}}}},
            "publicationDate": "2026-11-20T00:00:00Z",
        }
    )


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            is_pricing = "GetProducts" in self.headers.get("X-Amz-Target", "")
            if server.refuse and is_pricing:
                self._answer(400, json.dumps({"__type": server.refuse, "message": "no"}))
            elif server.refuse:
                error = f"<Error><Code>{server.refuse}</Code><Message>no</Message></Error>"
                self._answer(400, f"<Response><Errors>{error}</Errors></Response>", "text/xml")
            elif is_pricing:
                self._answer(200, json.dumps(server.get_products(json.loads(body))))
            else:
                self._answer(200, server.spot_history(parse_qs(body)), "text/xml")

        def _answer(self, status, text, kind="application/x-amz-json-1.1"):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    return Handler
