package storetest

var identityRules = []rule{
	{"own", "Each database has a StoreID of its own, which is not empty.", func(c *check) {
		id, other := c.StoreID(), c.h.Open(c.TB).StoreID()
		if id == "" || other == "" || id == other {
			c.Errorf("StoreID: got %q and, of another database, %q", id, other)
		}
	}},
	{"stays", "The StoreID stays the same, whatever is written.", func(c *check) {
		id := c.StoreID()
		c.create("a")
		c.enqueue(0, job{n: 1})
		c.equal("StoreID", c.StoreID(), id)
	}},
	{"reopened", "The StoreID outlives the process.", func(c *check) {
		id := c.StoreID()
		c.reopen()
		c.equal("StoreID", c.StoreID(), id)
	}},
	{"shared", "All stores over a database have its StoreID.", func(c *check) {
		id := c.StoreID()
		c.equal("StoreID of another store", c.second().StoreID(), id)
	}},
	{"transaction", "A transaction of the application has the StoreID of its database.", func(c *check) {
		id := c.StoreID()
		tx, end := c.begin()
		c.equal("StoreID of the transaction", tx.StoreID(), id)
		end(false)
	}},
}
