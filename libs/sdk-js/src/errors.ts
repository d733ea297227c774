/**
 * Everything that can go wrong:
 *
 *     PlatformError
 *     ├── ConnectionFailed     no answer came, or it was cut off
 *     │   └── TimedOut         … in time
 *     ├── StreamBroken         an answer broke off where it cannot be taken up again
 *     ├── EventsLost           what was missed is not kept any more
 *     ├── ChecksumMismatch     the bytes that arrived are not those that were sent
 *     ├── UnexpectedAnswer     the platform's answer has not the form that this client knows
 *     ├── JobFailed            a job that was waited for has ended otherwise
 *     └── ApiError             the platform refused: status, code, metadata, requestId
 *         ├── InvalidRequest   400
 *         ├── Unauthenticated  401
 *         ├── Forbidden        403
 *         ├── NotFound         404
 *         ├── Conflict         409
 *         ├── TooLarge         413
 *         ├── RateLimited      429
 *         │   └── QuotaExhausted   … and waiting for a moment does not help
 *         └── ServerFailed     5xx
 *             ├── EngineFailed     502
 *             ├── Unavailable      503
 *             └── DeadlinePassed   504
 */

/** Whatever this client throws. */
export class PlatformError extends Error {
  constructor(message?: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** No answer came, or it was cut off. */
export class ConnectionFailed extends PlatformError {}

/** No answer came in time. */
export class TimedOut extends ConnectionFailed {}

/** An answer broke off where it cannot be taken up again: what came before stays, what is missing is unknown. */
export class StreamBroken extends PlatformError {}

/** What was missed meanwhile is not kept any more: look at the things themselves, and watch from now on. */
export class EventsLost extends PlatformError {}

/** The bytes that arrived are not those that were sent. */
export class ChecksumMismatch extends PlatformError {}

/** The platform's answer has not the form that this client knows: their versions may be too far apart. */
export class UnexpectedAnswer extends PlatformError {}

/** A job that was waited for has failed or was cancelled. */
export class JobFailed extends PlatformError {}

/** The platform refused the request. `code` is the family's own, or `http_<status>` where its form has none. */
export class ApiError extends PlatformError {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly metadata: Readonly<Record<string, unknown>> = {},
    readonly requestId: string | null = null,
    /** Seconds from now after which it may go better, where the platform said so. */
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }
}

export class InvalidRequest extends ApiError {}
export class Unauthenticated extends ApiError {}
export class Forbidden extends ApiError {}
export class NotFound extends ApiError {}
export class Conflict extends ApiError {}
export class TooLarge extends ApiError {}
export class RateLimited extends ApiError {}
/** The key's budget is spent. */
export class QuotaExhausted extends RateLimited {}
export class ServerFailed extends ApiError {}
/** The engine behind the model failed. */
export class EngineFailed extends ServerFailed {}
/** A part of the platform is not there at the moment. */
export class Unavailable extends ServerFailed {}
/** The platform had no answer in time. */
export class DeadlinePassed extends ServerFailed {}

const BY_STATUS: Readonly<Record<number, typeof ApiError>> = {
  400: InvalidRequest,
  401: Unauthenticated,
  403: Forbidden,
  404: NotFound,
  409: Conflict,
  413: TooLarge,
  422: InvalidRequest,
  429: RateLimited,
  502: EngineFailed,
  503: Unavailable,
  504: DeadlinePassed,
};

/** Document E's codes, where there is no status besides: in answers over a WebSocket. */
const STATUSES: Readonly<Record<string, number>> = {
  VALIDATION_ERROR: 400,
  CONFIG_ERROR: 400,
  UNAUTHORIZED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  RATE_LIMITED: 429,
  UNAVAILABLE: 503,
  TIMEOUT: 504,
};

/** The error that an answer tells, in whichever family's form. */
export async function refusal(response: Response): Promise<ApiError> {
  const text = await response.text().catch(() => "");
  const [code, message, metadata] = read(response.status, text);
  const { headers } = response;
  let kind = kindOf(response.status);
  if (kind === RateLimited && headers.get("x-should-retry") === "false") kind = QuotaExhausted;
  return new kind(response.status, code, message, metadata, headers.get("x-request-id"), retryAfter(headers));
}

/** The error that document E's form tells. */
export function refused(body: object): ApiError {
  const [code, message, metadata] = read(500, JSON.stringify(body));
  const status = STATUSES[code] ?? 500;
  return new (kindOf(status))(status, code, message, metadata);
}

function kindOf(status: number): typeof ApiError {
  return BY_STATUS[status] ?? (status >= 500 ? ServerFailed : ApiError);
}

/** The error that a stream tells after its answer has begun well. */
export function told(body: unknown): ApiError {
  const [code, message, metadata] = read(200, JSON.stringify(body));
  return new ServerFailed(200, code, message, metadata);
}

export function retryAfter(headers: Headers): number | null {
  const seconds = Number.parseFloat(headers.get("retry-after") ?? "");
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/** As the other families tell it: `Input validation failed: title: field required; x: unknown field`. */
function withFields(message: string, fields: unknown): string {
  if (!Array.isArray(fields)) return message;
  const told = fields.filter((each) => each?.field && each.message).map((each) => `${each.field}: ${each.message}`);
  return !told.length || told.some((each) => message.includes(each)) ? message : `${message}: ${told.join("; ")}`;
}

type Told = [code: string, message: string, metadata: Record<string, unknown>];

function read(status: number, text: string): Told {
  const unknown: Told = [`http_${status}`, text.slice(0, 500) || `The platform answered ${status}`, {}];
  let body: any;
  try {
    body = JSON.parse(text);
  } catch {
    return unknown;
  }
  const error = body?.error;
  if (typeof error === "string" && typeof body.message === "string") {
    return [error, withFields(body.message, body.metadata?.errors), body.metadata ?? {}];
  }
  if (body?.status === "error" && typeof error === "object") {
    const code = Array.isArray(body.errors) ? body.errors[0]?.code : error.type;
    const whole = body.message.includes(error.message) ? body.message : `${body.message}: ${error.message}`;
    const fields = Object.entries(error.details ?? {}).flatMap(([field, reasons]) =>
      (reasons as string[]).map((message) => ({ field, message })),
    );
    return [String(code ?? error.type), withFields(whole, fields), { ...error, errors: body.errors }];
  }
  if (typeof error?.message === "string") return [error.code ?? error.type ?? `http_${status}`, error.message, error];
  const sentence = typeof error === "string" ? error : body?.detail;
  return typeof sentence === "string" ? [`http_${status}`, sentence, {}] : unknown;
}
