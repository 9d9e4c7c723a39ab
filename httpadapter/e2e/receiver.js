// A receiver of webhooks as docs/receiving.md shows it, on a port of its own.

import express from 'express';
import { Webhook } from 'standardwebhooks';

const webhook = new Webhook(process.env.WEBHOOK_SECRET); // "whsec_…"
const app = express();

// The signature is over the bytes that came: express.raw keeps them, express.json does not.
app.post('/webhooks', express.raw({ type: () => true, limit: '1mb' }), (req, res) => {
  let event;
  try {
    event = webhook.verify(req.body, req.headers);
  } catch (err) {
    return res.status(401).send(err.message);
  }
  console.log(`${req.get('webhook-id')}: ${event.type}`, event.data);
  res.sendStatus(204);
});

const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
