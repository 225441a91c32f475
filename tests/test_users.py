"""Tests of the C{[user:NAME]} sections and of what people are recognised by."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from circustwist.model import keys
from circustwist.model.ini import Reading, read
from circustwist.model.plan import compare
from circustwist.model.users import byCert, byKey, byName

WEB = "[watcher:web]\ncmd = sleep 60\n"
KEY = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"
RAW = "8E0BDD697628B91D8F245587EE95C5B04D48963F79259877B49CD9063AEAD3B7"
"""The same key as 32 bytes."""
HASH = keys.hashed("correct horse", b"0123456789abcdef")


def reading(text: str) -> Reading:
    """What comes of an ini."""
    return read("stack.ini", lambda path: (WEB + text).encode(), lambda pattern: [], {})


class SectionTests(SynchronousTestCase):
    """Tests of what the reader makes of a section."""

    def test_all(self) -> None:
        """Every option is read."""
        found = reading(f"[user:Ann]\nrole = Operator\nuid = ann\ngroup = 100\ncert = sha256:{RAW}\ncurve_key = {KEY}\n"
                        f"password_hash = {HASH}\n")
        self.assertEqual(found.problems, ())
        (ann,) = found.stack.users
        self.assertEqual((ann.name, ann.role, ann.uid, ann.group), ("Ann", "operator", "ann", "100"))
        self.assertEqual((ann.cert, ann.curve_key, ann.password_hash), (RAW.lower(), KEY, HASH))

    def test_wrong(self) -> None:
        """What is wrong is told with its place."""
        found = reading("[user:ann]\nrole = root\ncert = 12\ncurve_key = abc\npassword_hash = secret\npasword = x\n")
        texts = [str(problem) for problem in found.problems]
        self.assertEqual([text.split(":")[1] for text in texts], ["3", "4", "5", "6", "7", "8"])
        self.assertIn("nobody can be recognised by it", texts[0])
        self.assertIn("[user:ann] role", texts[1])
        self.assertIn("circustwist passwd", texts[4])
        self.assertNotIn("has no effect: hooks", texts[5])

    def test_twice(self) -> None:
        """Two users cannot be recognised by the same; two may have the same password."""
        same = f"uid = ann\npassword_hash = {HASH}\n"
        found = reading(f"[user:ann]\n{same}[user:bob]\n{same}")
        self.assertEqual([str(problem) for problem in found.problems],
                         ["stack.ini:7: [user:bob] uid: is that of [user:ann] too"])

    def test_plan(self) -> None:
        """A plan tells of users, and never of their passwords' hashes."""
        old = reading(f"[user:ann]\npassword_hash = {HASH}\n").stack
        new = reading(f"[user:ann]\nrole = admin\npassword_hash = {HASH[:-3]}AA=\n[user:bob]\nuid = 7\n").stack
        items = [item for item in compare(old, new).json()["items"] if item["kind"] == "user"]
        self.assertEqual([(item["name"], item["action"]) for item in items], [("ann", "now"), ("bob", "add")])
        self.assertEqual([change["option"] for change in items[0]["changes"]], ["role", "password_hash"])
        self.assertNotIn("scrypt", str(items))
        self.assertEqual([item["action"] for item in compare(new, old).json()["items"]], ["now", "remove"])


class FindTests(SynchronousTestCase):
    """Tests of how a face finds somebody."""

    def test_found(self) -> None:
        """By key, certificate or name."""
        users = reading(f"[user:ann]\ncurve_key = {RAW}\n[user:bob]\ncert = {RAW}\n").stack.users
        self.assertEqual([byKey(users, KEY), byCert(users, RAW.lower()), byName(users, "BOB")],
                         [users[0], users[1], users[1]])
        self.assertEqual([byKey(users, ""), byCert(users, ""), byName(users, "carl")], [None] * 3)


class KeyTests(SynchronousTestCase):
    """Tests of keys and hashes."""

    def test_curveKey(self) -> None:
        """A key is the same in both its forms."""
        self.assertEqual(keys.curveKey(RAW), KEY)
        self.assertEqual(keys.curveKey(f" {KEY} "), KEY)
        for wrong in ("", KEY[:-1], KEY[:-1] + "~", RAW[:-2]):
            self.assertRaises(ValueError, keys.curveKey, wrong)

    def test_fingerprint(self) -> None:
        """A fingerprint may have colons."""
        pairs = ":".join(RAW[at:at + 2] for at in range(0, 64, 2))
        self.assertEqual(keys.fingerprint(pairs), RAW.lower())
        self.assertRaises(ValueError, keys.fingerprint, RAW[:-1] + "g")

    def test_password(self) -> None:
        """The right password gives the same hash, another one not."""
        self.assertEqual(keys.passwordHash(HASH), HASH)
        self.assertEqual(keys.matches("correct horse", HASH), HASH)
        self.assertNotEqual(keys.matches("battery staple", HASH), HASH)
        self.assertNotIn("$", HASH)

    def test_damaged(self) -> None:
        """No password matches what is no hash."""
        for wrong in ("", "scrypt:14:8:1:AAAA:BBBB", HASH.replace("scrypt:14", "scrypt:99")):
            self.assertEqual(keys.matches("x", wrong), "")
            self.assertRaises(ValueError, keys.passwordHash, wrong)
