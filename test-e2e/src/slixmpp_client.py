"""A client on slixmpp that is told what to do by lines of JSON, and tells what it sees by lines of JSON.

It keeps to the library's own plugins; nothing here knows our server but that a body is JSON and PLAIN comes without TLS.
"""
import asyncio
import json
import logging
import sys

import slixmpp
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, jid, password):
        super().__init__(jid, password, plugin_config={
            "feature_mechanisms": {"unencrypted_plain": True},
            "xep_0198": {"window": 1},
        })
        for xep in (30, 45, 92, 184, 198, 199, 203, 280):
            self.register_plugin(f"xep_{xep:04}")
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("session_resumed", lambda _: tell("resumed"))
        self.add_event_handler("failed_auth", lambda _: tell("failed_auth"))
        self.add_event_handler("disconnected", self.on_lost)
        self.add_event_handler("message", lambda m: self.on_message("message", m))
        self.add_event_handler("message_error", self.on_error)
        self.add_event_handler("carbon_sent", lambda m: self.on_message("carbon_sent", m["carbon_sent"]))
        self.add_event_handler("carbon_received", lambda m: self.on_message("carbon_received", m["carbon_received"]))
        self.add_event_handler("receipt_received", lambda m: tell("receipt", id=m["receipt"], sender=str(m["from"])))
        self.add_event_handler("stanza_acked", self.on_acked)
        self.add_event_handler("presence_error", lambda p: self.on_presence(p, p["error"]["condition"]))
        self.add_event_handler("groupchat_presence", self.on_presence)
        # The library has forgotten a room when its leave is answered.
        self.register_handler(Callback("left", StanzaPath("presence@type=unavailable"), self.on_presence))
        self.add_event_handler("groupchat_subject", lambda m: tell("subject", sender=str(m["from"]), subject=m["subject"]))
        self.place = None

    def reach(self, host, port):
        self.place = (host, port)
        self.connect(self.place, force_starttls=False, disable_starttls=True)

    def on_lost(self, _):
        tell("lost")
        self.connect(self.place, force_starttls=False, disable_starttls=True)

    async def on_start(self, _):
        await self.get_roster()
        await self["xep_0280"].enable()
        self.send_presence()
        tell("started", jid=str(self.boundjid))

    def on_message(self, event, message):
        if message["type"] == "error" or not message["body"]:
            return
        delayed = bool(message.xml.find("{urn:xmpp:delay}delay") is not None)
        tell(event, id=message["id"], sender=str(message["from"]), to=str(message["to"]), body=message["body"], delayed=delayed)

    def on_error(self, message):
        tell("refused", id=message["id"], condition=message["error"]["condition"])

    def on_acked(self, stanza):
        if isinstance(stanza, slixmpp.Message):
            tell("acked", id=stanza["id"])

    def on_presence(self, presence, condition=None):
        codes = sorted(presence["muc"]["status_codes"]) if presence.get_plugin("muc", check=True) else []
        tell("presence", sender=str(presence["from"]), type=presence["type"], codes=codes, condition=condition)

    async def do(self, order):
        command = order.pop("do")
        if command == "send":
            message = self.make_message(mto=order["to"], mbody=order["body"], mtype=order.get("type", "chat"))
            message["id"] = order["id"]
            message["request_receipt"] = True
            message.send()
        elif command == "join":
            self["xep_0045"].join_muc(order["room"], order["nick"], maxhistory=order.get("history", "0"))
        elif command == "leave":
            self["xep_0045"].leave_muc(order["room"], order["nick"])
        elif command == "drop":
            self.abort()
        elif command == "ask":
            tell("told", **await self.ask(order["to"]))
        elif command == "quit":
            self.del_event_handler("disconnected", self.on_lost)
            await self.disconnect()
            tell("quit")
            asyncio.get_event_loop().call_later(0.1, lambda: sys.exit(0))

    async def ask(self, domain):
        info = await self["xep_0030"].get_info(jid=domain)
        version = await self["xep_0092"].get_version(domain)
        await self["xep_0199"].send_ping(domain)
        return {"features": sorted(info["disco_info"]["features"]), "software": version["software_version"]["name"]}


async def follow_orders(client):
    reader = asyncio.StreamReader()
    loop = asyncio.get_event_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            await client.do(json.loads(line))
        except Exception as error:  # the test is told, and judges
            tell("failed", error=repr(error))
    sys.exit(0)


host, port, jid, password = sys.argv[1:5]
logging.basicConfig(level=logging.ERROR)
client = Client(jid, password)
client.reach(host, int(port))
orders = client.loop.create_task(follow_orders(client))  # a loop alone does not keep its tasks
client.loop.run_forever()
