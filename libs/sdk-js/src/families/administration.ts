/** Keys and users, for administrators, and the platform itself. */

import { at, type Http } from "../http.js";
import type * as A from "../schemas/answers.js";
import type * as R from "../schemas/requests.js";

type Limit = { limit?: number };
const KEYS = "/api/v1/keys";
const USERS = "/api/v1/users";

export class Keys {
  constructor(readonly http: Http) {}

  /** Makes a key. The answer is the only one that ever holds it. */
  create(body: R.NewApiKey): Promise<A.CreatedApiKey> {
    return this.http.post(KEYS, "CreatedApiKey", body, "NewApiKey");
  }

  list(query: R.KeysQuery & Limit = {}): AsyncGenerator<A.ApiKey> {
    return this.http.pages(KEYS, "ApiKeyPage", query);
  }

  get(keyId: string): Promise<A.ApiKey> {
    return this.http.get(at(KEYS, keyId), "ApiKey");
  }

  replace(keyId: string, body: R.ReplacedApiKey): Promise<A.ApiKey> {
    return this.http.put(at(KEYS, keyId), "ApiKey", body, "ReplacedApiKey");
  }

  update(keyId: string, body: R.ChangedApiKey): Promise<A.ApiKey> {
    return this.http.json("PATCH", at(KEYS, keyId), "ApiKey", { body, kind: "ChangedApiKey" });
  }

  revoke(keyId: string): Promise<A.ApiKey> {
    return this.http.delete(at(KEYS, keyId), "ApiKey");
  }
}

export class Users {
  constructor(readonly http: Http) {}

  create(body: R.NewUser): Promise<A.User> {
    return this.http.post(USERS, "User", body, "NewUser");
  }

  list(query: Limit = {}): AsyncGenerator<A.User> {
    return this.http.pages(USERS, "UserPage", query);
  }

  get(userId: string): Promise<A.User> {
    return this.http.get(at(USERS, userId), "User");
  }

  update(userId: string, body: R.ChangedUser): Promise<A.User> {
    return this.http.json("PATCH", at(USERS, userId), "User", { body, kind: "ChangedUser" });
  }

  delete(userId: string): Promise<A.User> {
    return this.http.delete(at(USERS, userId), "User");
  }
}

export class Platform {
  constructor(readonly http: Http) {}

  health(): Promise<A.Health> {
    return this.http.get("/health", "Health");
  }

  ready(): Promise<A.Readiness> {
    return this.http.get("/ready", "Readiness");
  }

  metrics(query: R.MetricsQuery = {}): Promise<A.ServerMetrics> {
    return this.http.get("/api/v1/metrics", "ServerMetrics", query);
  }

  me(): Promise<A.Me> {
    return this.http.get("/api/v1/me", "Me");
  }
}
